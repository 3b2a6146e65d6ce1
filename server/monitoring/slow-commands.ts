/** Commands that took long, on their way into the slow log and the latency monitor. */
import type { ArgumentSource } from '../../protocol/resp-request.ts';
import type { Call } from '../dispatch/call.ts';
import type { CommandOf } from '../definitions/command-definition.ts';
import { findOption } from '../config/option-table.ts';
import type { Node } from '../node.ts';
import { packedWords } from '../arguments/packed-words.ts';
import type { Session } from '../clients/session.ts';
import { shortened } from './slow-log.ts';
import { TimeHistogram } from './time-histogram.ts';

const REDACTED = Buffer.from('(redacted)');

/** Which arguments are secrets: passwords of AUTH, HELLO and MIGRATE, rules of users, values of options that are kept out of the log. */
export function secretsIn(call: Call, command: CommandOf<never>): ReadonlySet<number> {
  const found = new Set<number>();
  if (command.fullName === 'auth') {
    for (let index = 1; index < call.argc; index++) found.add(index);
  } else if (command.fullName === 'acl|setuser') {
    for (let index = 3; index < call.argc; index++) found.add(index);
  } else if (command.fullName === 'hello') {
    for (let index = 2; index < call.argc; index++) {
      if (call.is(index, 'AUTH')) found.add(index + 1).add(index + 2);
    }
  } else if (command.fullName === 'migrate') {
    for (let index = 6; index < call.argc && !call.is(index, 'KEYS'); index++) {
      if (call.is(index, 'AUTH')) found.add(++index);
      else if (call.is(index, 'AUTH2')) found.add(++index).add(++index);
    }
  } else if (command.fullName === 'config|set') {
    for (let index = 2; index < call.argc; index += 2) {
      const option = findOption(call.latin1(index));
      if (option !== undefined && option.definition.secret !== 'no') found.add(index + 1);
    }
  }
  return found;
}

/** The arguments with secrets blotted out. */
function withoutSecrets(call: Call, command: CommandOf<never>): ArgumentSource {
  const secrets = secretsIn(call, command);
  if (secrets.size === 0) return call;
  const words: Buffer[] = [];
  for (let index = 0; index < call.argc; index++) words.push(secrets.has(index) ? REDACTED : call.bytes(index));
  return packedWords(words);
}

function logSlow(
  { statistics, keyspace, config }: Node,
  session: Session,
  words: Buffer[],
  microseconds: number,
): void {
  const client = { address: session.transport.remoteAddress, name: session.name };
  statistics.slowLog.add(words, microseconds, keyspace.clock.nowMs, client, Number(config.values['slowlog-max-len']));
}

/** Of the calls that need not all be timed, one in this many is. */
const SAMPLED_CALLS = 16;

/** For how many calls of a command its call number `calls` stands that is timed; 0 when it is not. The first ones all are. */
export function sampleWeight(calls: number): number {
  if (calls <= SAMPLED_CALLS) return 1;
  return calls % SAMPLED_CALLS === 0 ? SAMPLED_CALLS : 0;
}

/**
 * Takes note of what a command has taken that has run, also in the logs if that is as long as the configuration asks for.
 * @param weight for how many calls it stands
 * @param session whose command it is: for one of a script, the session that has called the script
 */
export function noteDuration(
  node: Node,
  call: Call,
  command: CommandOf<never>,
  milliseconds: number,
  weight: number,
  session = call.session,
): void {
  const { values } = node.config;
  const { statistics, keyspace } = node;
  const microseconds = milliseconds * 1000;
  command.microseconds += microseconds * weight;
  if (values['latency-tracking']) (command.times ??= new TimeHistogram()).add(microseconds, weight);
  const slowerThan = Number(values['slowlog-log-slower-than']);
  if (slowerThan >= 0 && microseconds >= slowerThan && !command.flags.includes('skip_slowlog')) {
    const words = shortened(withoutSecrets(call, command));
    const log = (): void => logSlow(node, session, words, microseconds);
    // One that waits is told of when it has been served.
    if (session.blocked === null) log();
    else session.blocked.onServed = log;
  }
  const thresholdMs = Number(values['latency-monitor-threshold']);
  if (thresholdMs > 0 && microseconds >= thresholdMs * 1000) {
    const event = command.flags.includes('fast') ? 'fast-command' : 'command';
    statistics.latency.add(event, microseconds / 1000, keyspace.clock.nowMs);
  }
}
