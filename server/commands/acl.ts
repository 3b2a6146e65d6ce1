/** ACL: the one user there is, and what categories commands are in. */
import { createHash, randomBytes } from 'node:crypto';
import { ACL_CATEGORIES, categoriesOf } from '../acl-categories.ts';
import { DEFAULT_USER } from '../authentication.ts';
import type { Call } from '../call.ts';
import { type CommandDefinition, type CommandFlag, command } from '../command.ts';
import { helpSubcommand, wrongSubcommandArguments } from '../subcommand-help.ts';

const OWN: readonly CommandFlag[] = ['noscript', 'loading', 'stale'];
const ADMIN: readonly CommandFlag[] = ['admin', 'noscript', 'loading', 'stale'];

const GENERATED_BITS = 256;
const GENERATED_BITS_MAX = 4096;
const BITS_A_DIGIT = 4;

/** The hash of the password, or null when there is none. */
function passwordHash(call: Call): string | null {
  const { requirepass } = call.node.config.values;
  return requirepass === '' ? null : createHash('sha256').update(requirepass).digest('hex');
}

function list(call: Call): void {
  const hash = passwordHash(call);
  call.reply.array(1);
  call.reply.bulkString(`user ${DEFAULT_USER} on ${hash === null ? 'nopass' : `#${hash}`} ~* &* +@all`);
}

function replyTexts(call: Call, texts: readonly string[]): void {
  call.reply.array(texts.length);
  for (const text of texts) call.reply.bulkString(text);
}

function categories(call: Call): void {
  if (call.argc > 3) wrongSubcommandArguments(call, 'acl');
  if (call.argc === 2) {
    replyTexts(call, ACL_CATEGORIES);
    return;
  }
  const category = call.text(2).toLowerCase();
  if (!ACL_CATEGORIES.some((known) => known === category)) call.fail(`ERR Unknown category '${call.text(2)}'`);
  const commands = [...call.node.commands.byName.values()].flatMap((each) => [each, ...each.subcommandTable.values()]);
  replyTexts(
    call,
    commands.filter((each) => categoriesOf(each).includes(category)).map(({ fullName }) => fullName),
  );
}

function getUser(call: Call): void {
  const { reply } = call;
  if (call.text(2) !== DEFAULT_USER) {
    reply.nil();
    return;
  }
  const hash = passwordHash(call);
  reply.map(6);
  reply.bulkString('flags');
  reply.set(hash === null ? 2 : 1);
  reply.bulkString('on');
  if (hash === null) reply.bulkString('nopass');
  reply.bulkString('passwords');
  replyTexts(call, hash === null ? [] : [hash]);
  for (const [name, rule] of [
    ['commands', '+@all'],
    ['keys', '~*'],
    ['channels', '&*'],
  ] as const) {
    reply.bulkString(name);
    reply.bulkString(rule);
  }
  reply.bulkString('selectors');
  reply.array(0);
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

function dryRun(call: Call): void {
  const user = call.text(2);
  if (user !== DEFAULT_USER) call.fail(`ERR User '${user}' not found`);
  const found = call.node.commands.byName.get(call.latin1(3).toLowerCase());
  if (found === undefined) call.fail(`ERR Command '${call.text(3)}' not found`);
  const argc = call.argc - 3;
  if (found.arity > 0 ? argc !== found.arity : argc < -found.arity) {
    call.fail(`ERR wrong number of arguments for '${found.fullName}' command`);
  }
  call.reply.ok();
}

interface AclSubcommand {
  name: string;
  summary: string;
  since?: string;
  arity: number;
  flags: readonly CommandFlag[];
  syntax: string;
  run: (call: Call) => void;
}

function subcommand(definition: AclSubcommand): CommandDefinition {
  return command({ since: '6.0.0', group: 'server', complexity: 'O(1)', ...definition });
}

const subcommands: readonly CommandDefinition[] = [
  subcommand({
    name: 'whoami',
    summary: 'Tells which user this connection is.',
    arity: 2,
    flags: OWN,
    syntax: '',
    run: ({ reply, session }) => reply.bulkString(session.user),
  }),
  subcommand({
    name: 'users',
    summary: 'Lists the names of the users.',
    arity: 2,
    flags: ADMIN,
    syntax: '',
    run: (call) => replyTexts(call, [DEFAULT_USER]),
  }),
  subcommand({
    name: 'list',
    summary: 'Lists the users with their rules.',
    arity: 2,
    flags: ADMIN,
    syntax: '',
    run: list,
  }),
  subcommand({
    name: 'getuser',
    summary: 'Tells the rules of a user.',
    arity: 3,
    flags: ADMIN,
    syntax: 'username',
    run: getUser,
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
  command({
    name: 'acl',
    summary: 'Commands about users.',
    since: '6.0.0',
    group: 'server',
    complexity: 'Depends on the subcommand.',
    arity: -2,
    flags: [],
    syntax: '',
    subcommands,
  }),
];
