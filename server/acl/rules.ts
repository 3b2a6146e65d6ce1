/** The rules of a user as ACL SETUSER, the ACL file and the configuration have them: read and applied one by one. */
import { categoriesOf, isCategory } from './acl-categories.ts';
import type { CommandTable } from '../definitions/command-table.ts';
import { READ, Selector, WRITE } from './selector.ts';
import { hashPassword, User } from './user.ts';

/** A rule that cannot be applied; the message is Redis's. */
export class RuleError extends Error {}

const SYNTAX = 'Syntax error';
const UNKNOWN = 'Unknown command or category name in ACL';
const ALL_KEYS_ALREADY =
  "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' " +
  'to start with an empty list of patterns';
const ALL_CHANNELS_ALREADY =
  "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try " +
  "'resetchannels' to start with an empty list of channels";
const NO_SUCH_PASSWORD = 'The password you are trying to remove from the user does not exist';
const BAD_HASH = 'The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters';

/** What rules are about. */
export interface RuleContext {
  readonly commands: CommandTable;
  /** `acl-pubsub-default`: new selectors and users may use all channels. */
  readonly startsWithAllChannels: boolean;
}

function newSelector(context: RuleContext): Selector {
  const selector = new Selector(context.commands.all.length);
  selector.allChannels = context.startsWithAllChannels;
  return selector;
}

export function newUser(name: string, context: RuleContext): User {
  const user = new User(name, context.commands.all.length);
  user.selectors = [newSelector(context)];
  return user;
}

// ---- words ----

/**
 * Words as clients and lines have them become rules: what is between parentheses is one, its words parted by single spaces.
 * @throws RuleError when a parenthesis is not closed
 */
export function joinSelectors(words: readonly string[]): string[] {
  const rules: string[] = [];
  let open: string[] | null = null;
  for (const word of words) {
    if (open !== null) {
      open.push(word);
      if (!word.endsWith(')')) continue;
      rules.push(open.join(' '));
      open = null;
    } else if (word.startsWith('(') && !word.endsWith(')')) {
      open = [word];
    } else {
      rules.push(word);
    }
  }
  if (open !== null) throw new RuleError(`Unmatched parenthesis in acl selector starting at '${open[0]}'.`);
  return rules;
}

function hasSpaces(text: string): boolean {
  return /[\s\0]/.test(text);
}

export function isUserName(name: string): boolean {
  return !hasSpaces(name);
}

// ---- users ----

/** @throws RuleError */
export function applyRule(user: User, rule: string, context: RuleContext): void {
  if (rule === '') return;
  const plain = PLAIN_RULES.get(rule.toLowerCase());
  if (plain !== undefined) plain(user, context);
  else if (rule.startsWith('(') && rule.endsWith(')')) addSelector(user, rule.slice(1, -1), context);
  else if (!applyPassword(user, rule)) applySelectorRule(user.own, rule, context);
}

type UserRule = (user: User, context: RuleContext) => void;

function resetPasswords(user: User): void {
  user.needsNoPassword = false;
  user.passwords.clear();
}

const PLAIN_RULES: ReadonlyMap<string, UserRule> = new Map<string, UserRule>([
  ['on', (user) => void (user.isOn = true)],
  ['off', (user) => void (user.isOn = false)],
  ['sanitize-payload', (user) => void (user.sanitizesPayload = true)],
  ['skip-sanitize-payload', (user) => void (user.sanitizesPayload = false)],
  ['resetpass', resetPasswords],
  [
    'nopass',
    (user) => {
      user.passwords.clear();
      user.needsNoPassword = true;
    },
  ],
  ['clearselectors', (user) => void (user.selectors = [user.own])],
  ['reset', (user, context) => user.become(newUser(user.name, context))],
]);

function addSelector(user: User, text: string, context: RuleContext): void {
  const selector = newSelector(context);
  for (const rule of text.split(' ')) if (rule !== '') applySelectorRule(selector, rule, context);
  user.selectors = [...user.selectors, selector];
}

/** @returns whether the rule is about a password */
function applyPassword(user: User, rule: string): boolean {
  const kind = rule[0];
  const rest = rule.slice(1);
  if (kind === '>' || kind === '<')
    return changePassword(user, kind === '>', hashPassword(Buffer.from(rest, 'latin1')));
  if (kind !== '#' && kind !== '!') return false;
  if (!/^[0-9a-f]{64}$/.test(rest)) throw new RuleError(BAD_HASH);
  return changePassword(user, kind === '#', rest);
}

function changePassword(user: User, isAdded: boolean, hash: string): true {
  if (isAdded) {
    user.passwords.add(hash);
    user.needsNoPassword = false;
  } else if (!user.passwords.delete(hash)) {
    throw new RuleError(NO_SUCH_PASSWORD);
  }
  return true;
}

// ---- selectors ----

/** @throws RuleError */
function applySelectorRule(selector: Selector, rule: string, context: RuleContext): void {
  const plain = PLAIN_SELECTOR_RULES.get(rule.toLowerCase());
  if (plain !== undefined) return plain(selector);
  const kind = rule[0];
  if (kind === '~' || kind === '%') return addKeys(selector, rule);
  if (kind === '&') return addChannels(selector, rule.slice(1));
  if ((kind === '+' || kind === '-') && rule[1] === '@') return setCategory(selector, rule, context.commands);
  if (kind === '+' && rule.includes('|')) return allowPart(selector, rule, context.commands);
  if (kind === '+' || kind === '-') return setCommand(selector, rule, context.commands);
  throw new RuleError(SYNTAX);
}

type SelectorRule = (selector: Selector) => void;

function allKeys(selector: Selector): void {
  selector.allKeys = true;
  selector.keys = [];
}

function allChannels(selector: Selector): void {
  selector.allChannels = true;
  selector.channels = [];
}

const PLAIN_SELECTOR_RULES: ReadonlyMap<string, SelectorRule> = new Map<string, SelectorRule>([
  ['allcommands', (selector) => selector.setAllCommands(true)],
  ['+@all', (selector) => selector.setAllCommands(true)],
  ['nocommands', (selector) => selector.setAllCommands(false)],
  ['-@all', (selector) => selector.setAllCommands(false)],
  ['allkeys', allKeys],
  ['~*', allKeys],
  [
    'resetkeys',
    (selector) => {
      selector.allKeys = false;
      selector.keys = [];
    },
  ],
  ['allchannels', allChannels],
  ['&*', allChannels],
  [
    'resetchannels',
    (selector) => {
      selector.allChannels = false;
      selector.channels = [];
    },
  ],
]);

/** `~pattern`, `%R~pattern`, `%W~pattern`, `%RW~pattern`. */
function addKeys(selector: Selector, rule: string): void {
  if (selector.allKeys) throw new RuleError(ALL_KEYS_ALREADY);
  const parts = /^(?:%(rw?|wr?)(?:~|$)|~)(.*)$/is.exec(rule);
  if (parts === null) throw new RuleError(SYNTAX);
  const [, letters = 'rw', text = ''] = parts;
  if (hasSpaces(text)) throw new RuleError(SYNTAX);
  const access = (/r/i.test(letters) ? READ : 0) | (/w/i.test(letters) ? WRITE : 0);
  selector.addKeys(text, access);
}

function addChannels(selector: Selector, text: string): void {
  if (selector.allChannels) throw new RuleError(ALL_CHANNELS_ALREADY);
  if (hasSpaces(text)) throw new RuleError(SYNTAX);
  selector.addChannels(text);
}

function setCategory(selector: Selector, rule: string, commands: CommandTable): void {
  const category = rule.slice(2).toLowerCase();
  if (!isCategory(category)) throw new RuleError(UNKNOWN);
  const isAllowed = rule.startsWith('+');
  // A container before its subcommands: they may be of other categories than it is.
  for (const command of commands.all) {
    if (categoriesOf(command).includes(category)) selector.setCommand(command, isAllowed);
  }
  selector.noteCommandRule(rule);
}

function setCommand(selector: Selector, rule: string, commands: CommandTable): void {
  const command = commands.named(rule.slice(1).toLowerCase());
  if (command === undefined) throw new RuleError(UNKNOWN);
  selector.setCommand(command, rule.startsWith('+'));
  selector.noteCommandRule(rule);
}

/** `+container|subcommand`, or `+command|first-argument` for a command without subcommands. */
function allowPart(selector: Selector, rule: string, commands: CommandTable): void {
  if (commands.named(rule.slice(1).toLowerCase()) !== undefined) return setCommand(selector, rule, commands);
  const bar = rule.lastIndexOf('|');
  const command = commands.named(rule.slice(1, bar).toLowerCase());
  if (command === undefined) throw new RuleError(UNKNOWN);
  if (command.parent !== null) throw new RuleError('Allowing first-arg of a subcommand is not supported');
  const argument = rule.slice(bar + 1);
  if (argument === '') throw new RuleError(SYNTAX);
  if (command.subcommandTable.size > 0) throw new RuleError(UNKNOWN);
  selector.allowFirstArgument(command, argument);
  selector.noteCommandRule(rule);
}
