/** What commands cost and how often they failed. */
import type { Node } from '../node.ts';
import type { Field } from './fields.ts';

export function commandFields(node: Node): Field[] {
  const commands = [...node.commands.byName.values()].flatMap((each) => [each, ...each.subcommandTable.values()]);
  return commands
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

export function errorFields(node: Node): Field[] {
  const counts = [...node.statistics.errorCounts].sort(([left], [right]) => (left < right ? -1 : 1));
  return counts.map(([code, count]) => [`errorstat_${code}`, `count=${count}`]);
}
