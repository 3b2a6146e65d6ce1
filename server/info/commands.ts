/** What commands cost and how often they failed. */
import type { Node } from '../node.ts';
import type { Field } from './fields.ts';

export function commandFields(node: Node): Field[] {
  return node.commands.all
    .filter(({ calls, rejected, failed }) => calls + rejected + failed > 0)
    .map(({ fullName, calls, microseconds, rejected, failed }) => {
      const mean = (calls === 0 ? 0 : microseconds / calls).toFixed(2);
      const usec = Math.round(microseconds);
      return [
        `cmdstat_${fullName}`,
        `calls=${calls},usec=${usec},usec_per_call=${mean},rejected_calls=${rejected},failed_calls=${failed}`,
      ];
    });
}

/** Microseconds that a percentage of each command's calls did not exceed. */
export function latencyFields(node: Node): Field[] {
  const { values } = node.config;
  const percents = values['latency-tracking-info-percentiles'];
  if (!values['latency-tracking']) return [];
  return node.commands.all.flatMap(({ fullName, times }): Field[] => {
    if (times === null) return [];
    const told = percents.map((percent) => `p${percent}=${times.percentile(percent).toFixed(3)}`);
    return [[`latency_percentiles_usec_${fullName}`, told.join(',')]];
  });
}

export function errorFields(node: Node): Field[] {
  const counts = [...node.statistics.errorCounts].sort(([left], [right]) => (left < right ? -1 : 1));
  return counts.map(([code, count]) => [`errorstat_${code}`, `count=${count}`]);
}
