/** Client-side caching: CLIENT TRACKING, CACHING, GETREDIR, TRACKINGINFO. */
import type { Call } from '../dispatch/call.ts';
import type { TrackingSettings } from '../tracking/client-tracking.ts';
import { type CommandDefinition, type CommandFlag, command } from '../definitions/command.ts';

const FLAGS: readonly CommandFlag[] = ['noscript', 'loading', 'stale'];
/** Prefixes of one client, and bytes of these together: what it costs is bounded. */
const PREFIXES_MAX = 1000;
const PREFIX_BYTES_MAX = 1024 * 1024;

interface TrackingOptions {
  redirect: number;
  readonly prefixes: string[];
  readonly words: Set<string>;
}

function redirectArgument(call: Call, index: number): number {
  const id = call.integer(index);
  if (!call.node.sessions.has(id)) call.fail('ERR The client ID you want redirect to does not exist');
  return id;
}

function trackingOptions(call: Call): TrackingOptions {
  const options: TrackingOptions = { redirect: 0, prefixes: [], words: new Set() };
  for (let index = 3; index < call.argc; index++) {
    const hasValue = index + 1 < call.argc;
    const word = ['BCAST', 'OPTIN', 'OPTOUT', 'NOLOOP'].find((each) => call.is(index, each));
    if (word !== undefined) {
      options.words.add(word);
    } else if (hasValue && call.is(index, 'REDIRECT')) {
      if (options.redirect !== 0) call.fail('ERR A client can only redirect to a single other client');
      options.redirect = redirectArgument(call, ++index);
    } else if (hasValue && call.is(index, 'PREFIX')) {
      options.prefixes.push(call.latin1(++index));
    } else {
      call.syntaxError();
    }
  }
  return options;
}

function overlap(left: string, right: string): boolean {
  return left.startsWith(right) || right.startsWith(left);
}

function checkPrefixes(call: Call, prefixes: readonly string[]): void {
  const present = [...(call.session.tracking?.prefixes ?? [])];
  const bytes = [...present, ...prefixes].reduce((sum, prefix) => sum + prefix.length, 0);
  if (present.length + prefixes.length > PREFIXES_MAX || bytes > PREFIX_BYTES_MAX) {
    call.fail(`ERR a connection has at most ${PREFIXES_MAX} prefixes, of ${PREFIX_BYTES_MAX} bytes together`);
  }
  const end = 'Prefixes for a single client must not overlap.';
  for (let index = 0; index < prefixes.length; index++) {
    const prefix = prefixes[index];
    const existing = present.find((other) => overlap(prefix, other));
    if (existing !== undefined)
      call.fail(`ERR Prefix '${prefix}' overlaps with an existing prefix '${existing}'. ${end}`);
    const provided = prefixes.find((other, at) => at > index && overlap(prefix, other));
    if (provided !== undefined) {
      call.fail(`ERR Prefix '${prefix}' overlaps with another provided prefix '${provided}'. ${end}`);
    }
  }
}

/** What the options come to, when they go together, and with what is in force. */
function settingsOf(call: Call, { redirect, prefixes, words }: TrackingOptions): TrackingSettings {
  const present = call.session.tracking?.settings;
  const broadcasts = words.has('BCAST');
  const isOptIn = words.has('OPTIN');
  const isOptOut = words.has('OPTOUT');
  const again = 'before disabling tracking for this client, and then re-enabling it with a different mode.';
  if (!broadcasts && prefixes.length > 0) call.fail('ERR PREFIX option requires BCAST mode to be enabled');
  if (present !== undefined && present.broadcasts !== broadcasts) {
    call.fail(`ERR You can't switch BCAST mode on/off ${again}`);
  }
  if (broadcasts && (isOptIn || isOptOut)) call.fail('ERR OPTIN and OPTOUT are not compatible with BCAST');
  if (isOptIn && isOptOut) call.fail("ERR You can't specify both OPTIN mode and OPTOUT mode");
  if ((isOptIn && present?.mode === 'optout') || (isOptOut && present?.mode === 'optin')) {
    call.fail(`ERR You can't switch OPTIN/OPTOUT mode ${again}`);
  }
  if (broadcasts) checkPrefixes(call, prefixes);
  return { redirect, broadcasts, mode: isOptIn ? 'optin' : isOptOut ? 'optout' : 'all', noLoop: words.has('NOLOOP') };
}

function tracking(call: Call): void {
  const { node, session } = call;
  const options = trackingOptions(call);
  if (call.is(2, 'ON')) node.tracking.enable(session, settingsOf(call, options), options.prefixes);
  else if (call.is(2, 'OFF')) node.tracking.disable(session);
  else call.syntaxError();
  call.reply.ok();
}

function caching(call: Call): void {
  const state = call.session.tracking;
  if (state === null) {
    call.fail(
      'ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled',
    );
  }
  const isYes = call.is(2, 'YES');
  if (!isYes && !call.is(2, 'NO')) call.syntaxError();
  if (state.settings.mode !== (isYes ? 'optin' : 'optout')) {
    const [word, mode] = isYes ? ['YES', 'OPTIN'] : ['NO', 'OPTOUT'];
    call.fail(`ERR CLIENT CACHING ${word} is only valid when tracking is enabled in ${mode} mode.`);
  }
  state.isExcepted = true;
  call.reply.ok();
}

function flagsOf({ session }: Call): string[] {
  const state = session.tracking;
  if (state === null) return ['off'];
  const { broadcasts, mode, noLoop } = state.settings;
  const flags = ['on'];
  if (broadcasts) flags.push('bcast');
  if (mode !== 'all') flags.push(mode);
  if (state.isExcepted) flags.push(mode === 'optin' ? 'caching-yes' : 'caching-no');
  if (noLoop) flags.push('noloop');
  if (state.isRedirectBroken) flags.push('broken_redirect');
  return flags;
}

function redirectOf({ session }: Call): number {
  return session.tracking?.settings.redirect ?? -1;
}

function trackingInfo(call: Call): void {
  const { reply, session } = call;
  const flags = flagsOf(call);
  const prefixes = [...(session.tracking?.prefixes ?? [])];
  reply.map(3);
  reply.bulkString('flags');
  reply.set(flags.length);
  for (const flag of flags) reply.bulkString(flag);
  reply.bulkString('redirect');
  reply.integer(redirectOf(call));
  reply.bulkString('prefixes');
  reply.array(prefixes.length);
  for (const prefix of prefixes) reply.bulk(Buffer.from(prefix, 'latin1'), 0, prefix.length);
}

export const trackingSubcommands: readonly CommandDefinition[] = [
  command({
    name: 'tracking',
    summary: 'Has this connection told of changes to the keys that it reads, or that have a prefix, for its cache.',
    since: '6.0.0',
    group: 'connection',
    complexity: 'O(1). Some options may introduce additional complexity.',
    arity: -3,
    flags: FLAGS,
    syntax: '<ON|OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]',
    run: tracking,
  }),
  command({
    name: 'caching',
    summary: 'Says whether the keys of the next command are tracked, where tracking is on with OPTIN or OPTOUT.',
    since: '6.0.0',
    group: 'connection',
    complexity: 'O(1)',
    arity: 3,
    flags: FLAGS,
    syntax: '<YES|NO>',
    run: caching,
  }),
  command({
    name: 'getredir',
    summary: 'Tells which connection invalidation messages go to; 0 for this one, -1 for none.',
    since: '6.0.0',
    group: 'connection',
    complexity: 'O(1)',
    arity: 2,
    flags: FLAGS,
    syntax: '',
    run: (call) => call.reply.integer(redirectOf(call)),
  }),
  command({
    name: 'trackinginfo',
    summary: 'Tells how tracking is set up for this connection.',
    since: '6.2.0',
    group: 'connection',
    complexity: 'O(1)',
    arity: 2,
    flags: FLAGS,
    syntax: '',
    run: trackingInfo,
  }),
];
