/** ACL: users and what they may do, and the log of what they may not. */
import { randomBytes } from 'node:crypto';
import type { AccessEntry } from '../acl/access-log.ts';
import { denialOf } from '../acl/check.ts';
import { isUserName, RuleError } from '../acl/rules.ts';
import type { Selector } from '../acl/selector.ts';
import { DEFAULT_USER } from '../acl/users.ts';
import { lineOf, UserLinesError } from '../acl/user-lines.ts';
import { ACL_CATEGORIES, categoriesOf, isCategory } from '../acl/acl-categories.ts';
import type { Call } from '../dispatch/call.ts';
import { type CommandDefinition, type CommandFlag, command } from '../definitions/command.ts';
import { container, helpSubcommand, wrongSubcommandArguments } from '../definitions/subcommand-help.ts';

const OWN: readonly CommandFlag[] = ['noscript', 'loading', 'stale'];
const ADMIN: readonly CommandFlag[] = ['admin', 'noscript', 'loading', 'stale'];

const GENERATED_BITS = 256;
const GENERATED_BITS_MAX = 4096;
const BITS_A_DIGIT = 4;
const LOG_SHOWN = 10;
const NO_FILE =
  'ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and ' +
  'then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis ' +
  'configuration.';

/** Text that is latin1 of its bytes, as names and rules of users are. */
function replyBytes(call: Call, text: string): void {
  const bytes = Buffer.from(text, 'latin1');
  call.reply.bulk(bytes, 0, bytes.length);
}

function replyTexts(call: Call, texts: readonly string[]): void {
  call.reply.array(texts.length);
  for (const text of texts) replyBytes(call, text);
}

function utf8(text: string): string {
  return Buffer.from(text, 'latin1').toString();
}

// ---- showing ----

function categories(call: Call): void {
  if (call.argc > 3) wrongSubcommandArguments(call, 'acl');
  if (call.argc === 2) {
    replyTexts(call, ACL_CATEGORIES);
    return;
  }
  const category = call.text(2).toLowerCase();
  if (!isCategory(category)) call.fail(`ERR Unknown category '${call.beginning(2, 128)}'`);
  const found = call.node.commands.all.filter((each) => categoriesOf(each).includes(category));
  replyTexts(
    call,
    found.map(({ fullName }) => fullName),
  );
}

function replySelector(call: Call, { commandsText, keysText, channelsText }: Selector): void {
  const parts = { commands: commandsText, keys: keysText, channels: channelsText };
  for (const [name, rules] of Object.entries(parts)) {
    call.reply.bulkString(name);
    replyBytes(call, rules);
  }
}

function getUser(call: Call): void {
  const { reply } = call;
  const user = call.node.users.named(call.latin1(2));
  if (user === undefined) {
    reply.nil();
    return;
  }
  const [own, ...others] = user.selectors;
  reply.map(6);
  reply.bulkString('flags');
  reply.set(user.flags.length);
  for (const flag of user.flags) reply.bulkString(flag);
  reply.bulkString('passwords');
  replyTexts(call, [...user.passwords]);
  replySelector(call, own);
  reply.bulkString('selectors');
  reply.array(others.length);
  for (const selector of others) {
    reply.map(3);
    replySelector(call, selector);
  }
}

function replyLogEntry(call: Call, entry: AccessEntry): void {
  const { reply } = call;
  reply.map(10);
  reply.bulkString('count');
  reply.integer(entry.count);
  for (const [name, text] of [
    ['reason', entry.reason],
    ['context', entry.context],
    ['object', entry.object],
    ['username', entry.userName],
  ] as const) {
    reply.bulkString(name);
    replyBytes(call, text);
  }
  reply.bulkString('age-seconds');
  reply.double((call.keyspace.clock.nowMs - entry.updatedAtMs) / 1000);
  reply.bulkString('client-info');
  reply.bulkString(entry.clientLine);
  for (const [name, number] of [
    ['entry-id', entry.id],
    ['timestamp-created', entry.createdAtMs],
    ['timestamp-last-updated', entry.updatedAtMs],
  ] as const) {
    reply.bulkString(name);
    reply.integer(number);
  }
}

function showLog(call: Call): void {
  const { log } = call.node.users;
  if (call.argc > 3) wrongSubcommandArguments(call, 'acl');
  if (call.argc === 3 && call.is(2, 'RESET')) {
    log.clear();
    call.reply.ok();
    return;
  }
  const count = call.argc === 3 ? Math.max(0, call.integer(2)) : LOG_SHOWN;
  const shown = log.entries.slice(0, count);
  call.reply.array(shown.length);
  for (const entry of shown) replyLogEntry(call, entry);
}

function dryRun(call: Call): void {
  const user = call.node.users.named(call.latin1(2));
  if (user === undefined) call.fail(`ERR User '${call.text(2)}' not found`);
  const argc = call.argc - 3;
  let found = call.node.commands.named(call.latin1(3).toLowerCase());
  if (found !== undefined && found.subcommandTable.size > 0 && argc > 1) {
    found = found.subcommandTable.get(call.latin1(4).toLowerCase());
  }
  if (found === undefined) call.fail(`ERR Command '${call.text(3)}' not found`);
  if (found.arity > 0 ? argc !== found.arity : argc < -found.arity) {
    call.fail(`ERR wrong number of arguments for '${found.fullName}' command`);
  }
  const { buffer } = call;
  const request = { buffer, argc, starts: call.starts.subarray(3), lengths: call.lengths.subarray(3) };
  const denial = denialOf(user, found, request);
  if (denial === null) {
    call.reply.ok();
  } else if (denial.reason === 'command') {
    call.reply.bulkString(`This user has no permissions to run the '${found.fullName}' command`);
  } else {
    const object = call.text(3 + denial.index);
    call.reply.bulkString(`This user has no permissions to access the '${object}' ${denial.reason}`);
  }
}

function generatePassword(call: Call): void {
  if (call.argc > 3) wrongSubcommandArguments(call, 'acl');
  let bits = GENERATED_BITS;
  if (call.argc === 3) {
    bits = call.integer(2);
    if (bits <= 0 || bits > GENERATED_BITS_MAX) {
      call.fail(
        'ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096',
      );
    }
  }
  const digits = Math.ceil(bits / BITS_A_DIGIT);
  call.reply.bulkString(
    randomBytes(Math.ceil(digits / 2))
      .toString('hex')
      .slice(0, digits),
  );
}

// ---- changing ----

function setUser(call: Call): void {
  const name = call.latin1(2);
  if (!isUserName(name)) call.fail("ERR Usernames can't contain spaces or null characters");
  const rules: string[] = [];
  for (let index = 3; index < call.argc; index++) rules.push(call.latin1(index));
  try {
    call.node.users.change(name, rules, call.session);
  } catch (error) {
    if (!(error instanceof RuleError)) throw error;
    call.fail(`ERR ${utf8(error.message)}`);
  }
  call.reply.ok();
}

function deleteUsers(call: Call): void {
  const names: string[] = [];
  for (let index = 2; index < call.argc; index++) names.push(call.latin1(index));
  if (names.includes(DEFAULT_USER)) call.fail("ERR The 'default' user cannot be removed");
  call.reply.integer(names.filter((name) => call.node.users.remove(name, call.session)).length);
}

function load(call: Call): void {
  if (!call.node.users.hasFile) call.fail(NO_FILE);
  try {
    call.node.users.load(call.session);
  } catch (error) {
    if (!(error instanceof UserLinesError)) throw error;
    call.fail(`ERR ${utf8(error.message)}`);
  }
  call.reply.ok();
}

function save(call: Call): void {
  if (!call.node.users.hasFile) call.fail(NO_FILE);
  try {
    call.node.users.save();
  } catch (error) {
    call.node.log.error({ err: error }, "cannot write 'aclfile'");
    call.fail('ERR There was an error trying to save the ACLs. Please check the server logs for more information');
  }
  call.reply.ok();
}

interface AclSubcommand {
  name: string;
  summary: string;
  since?: string;
  complexity?: string;
  arity: number;
  flags: readonly CommandFlag[];
  syntax: string;
  merge?: string;
  run: (call: Call) => void;
}

function subcommand(definition: AclSubcommand): CommandDefinition {
  return command({ since: '6.0.0', group: 'server', complexity: 'O(1)', ...definition });
}

const OF_RULES = 'O(N) with N the number of rules';
const OF_USERS = 'O(N) with N the number of users';

const subcommands: readonly CommandDefinition[] = [
  subcommand({
    name: 'whoami',
    summary: 'Tells which user this connection is.',
    arity: 2,
    flags: OWN,
    syntax: '',
    run: (call) => replyBytes(call, call.session.user.name),
  }),
  subcommand({
    name: 'users',
    summary: 'Lists the names of the users.',
    complexity: OF_USERS,
    arity: 2,
    flags: ADMIN,
    syntax: '',
    run: (call) =>
      replyTexts(
        call,
        call.node.users.all.map(({ name }) => name),
      ),
  }),
  subcommand({
    name: 'list',
    summary: 'Lists the users with their rules.',
    complexity: OF_USERS,
    arity: 2,
    flags: ADMIN,
    syntax: '',
    run: (call) => replyTexts(call, call.node.users.all.map(lineOf)),
  }),
  subcommand({
    name: 'getuser',
    summary: 'Tells the rules of a user.',
    complexity: OF_RULES,
    arity: 3,
    flags: ADMIN,
    syntax: 'username',
    run: getUser,
  }),
  subcommand({
    name: 'setuser',
    summary: 'Makes or changes a user of this node: all of the rules or none.',
    complexity: OF_RULES,
    arity: -3,
    flags: ADMIN,
    syntax: 'username [rule [rule ...]]',
    run: setUser,
  }),
  subcommand({
    name: 'deluser',
    summary: 'Removes users of this node, and closes their connections.',
    arity: -3,
    flags: ADMIN,
    syntax: 'username [username ...]',
    run: deleteUsers,
  }),
  subcommand({
    name: 'load',
    summary: 'Replaces the users by those of the ACL file: all of them or none.',
    complexity: OF_USERS,
    arity: 2,
    flags: ADMIN,
    syntax: '',
    run: load,
  }),
  subcommand({
    name: 'save',
    summary: 'Writes the users to the ACL file.',
    complexity: OF_USERS,
    arity: 2,
    flags: ADMIN,
    syntax: '',
    run: save,
  }),
  subcommand({
    name: 'log',
    summary: 'Shows what was denied lately, and wrong passwords; or forgets them.',
    complexity: 'O(N) with N the number of entries shown',
    arity: -2,
    flags: ADMIN,
    syntax: '[count|RESET]',
    run: showLog,
  }),
  subcommand({
    name: 'cat',
    summary: 'Lists the access categories, or the commands of one.',
    arity: -2,
    flags: OWN,
    syntax: '[category]',
    run: categories,
  }),
  subcommand({
    name: 'genpass',
    summary: 'Draws a password of so many random bits.',
    arity: -2,
    flags: OWN,
    syntax: '[bits]',
    run: generatePassword,
  }),
  subcommand({
    name: 'dryrun',
    summary: 'Tells whether a user may run a command, without running it.',
    since: '7.0.0',
    arity: -4,
    flags: ADMIN,
    syntax: 'username command [arg [arg ...]]',
    run: dryRun,
  }),
  helpSubcommand('server', '6.0.0'),
];

export const aclCommands: readonly CommandDefinition[] = [
  container({
    name: 'acl',
    summary: 'Commands about users.',
    since: '6.0.0',
    group: 'server',
    subcommands,
  }),
];
