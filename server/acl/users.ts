/** The users of this node: who a session is, what it may do, and what becomes of it when that changes. */
import { resolve } from 'node:path';
import type { ArgumentSource } from '../../protocol/resp-request.ts';
import type { CommandOf } from '../definitions/command-definition.ts';
import type { CommandTable } from '../definitions/command-table.ts';
import type { Config } from '../config/config.ts';
import { replaceFile } from '../config/rewrite.ts';
import { packedWords } from '../arguments/packed-words.ts';
import type { Session } from '../clients/session.ts';
import type { Statistics } from '../monitoring/statistics.ts';
import { type AccessContext, AccessLog } from './access-log.ts';
import { type Denial, type DenialReason, denialOf } from './check.ts';
import { applyRule, joinSelectors, newUser, type RuleContext, RuleError } from './rules.ts';
import { hashPassword, unrestrictedUser, type User } from './user.ts';
import { lineOf, readUsers, userFromWords, UserLinesError } from './user-lines.ts';

export const DEFAULT_USER = 'default';

/** Messages to the client, by what it may not do. */
type Words = Readonly<Record<DenialReason, (command: string) => string>>;

const NOT_ALLOWED: Words = {
  command: (command) => `NOPERM this user has no permissions to run the '${command}' command`,
  key: () => 'NOPERM this user has no permissions to access one of the keys used as arguments',
  channel: () => 'NOPERM this user has no permissions to access one of the channels used as arguments',
};
const CHANGED =
  'NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer ' +
  'allowed for the following reason: ';
const NO_LONGER_ALLOWED: Words = {
  command: () => `${CHANGED}no permission to execute the command or subcommand`,
  key: () => `${CHANGED}no permission to touch the specified keys`,
  channel: () => `${CHANGED}no permission to access one of the channels used as arguments to the command`,
};
const NOT_ALLOWED_IN_SCRIPT: Words = {
  command: () => "ERR The user executing the script can't run this command or subcommand",
  key: () =>
    "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments",
  channel: () => "ERR The user executing the script can't publish to the channel mentioned in the command",
};

const NOT_ALLOWED_ANY_MORE: Words = {
  command: NOT_ALLOWED.command,
  key: () => 'NOPERM No permissions to access a key',
  channel: NOT_ALLOWED.channel,
};

interface Request extends ArgumentSource {
  readonly command: CommandOf<never>;
}

/** What of a node the users are about. */
export interface UserSurroundings {
  readonly sessions: ReadonlyMap<number, Session>;
  readonly statistics: Pick<Statistics, 'countDenial' | 'countError'>;
  readonly clock: { readonly nowMs: number };
  /** The session as CLIENT LIST shows it. */
  describe(session: Session): string;
}

/** A request of a session that was refused. */
interface Refused {
  readonly session: Session;
  readonly context: AccessContext;
  readonly denial: Denial;
}

export class Users {
  readonly log = new AccessLog();
  readonly default: User;
  readonly #config: Config;
  readonly commands: CommandTable;
  readonly #byName = new Map<string, User>();
  /** Absolute path of the ACL file; null without one. */
  readonly #file: string | null;
  #surroundings: UserSurroundings | null = null;

  /** With the users that the configuration names. @throws Error that says what is wrong with them */
  constructor(config: Config, commands: CommandTable) {
    this.#config = config;
    this.commands = commands;
    const { aclfile, user: configured, requirepass } = config.values;
    this.#file = aclfile === '' ? null : resolve(aclfile);
    this.default = unrestrictedUser(DEFAULT_USER, commands.all.length);
    this.#byName.set(DEFAULT_USER, this.default);
    this.#setDefaultPassword(requirepass);
    this.#addConfigured(configured);
    if (this.#file !== null) this.#begin(this.#file);
    config.onChange('requirepass', (password) => this.#setDefaultPassword(password));
  }

  #begin(path: string): void {
    try {
      this.#takeFrom(path);
    } catch (error) {
      if (!(error instanceof UserLinesError)) throw error;
      throw new Error(`'aclfile' cannot be used: ${error.message}`, { cause: error });
    }
  }

  /** From now on sessions feel what changes. */
  attach(surroundings: UserSurroundings): void {
    this.#surroundings = surroundings;
  }

  get #context(): RuleContext {
    const startsWithAllChannels = this.#config.values['acl-pubsub-default'] === 'allchannels';
    return { commands: this.commands, startsWithAllChannels };
  }

  /** CONFIG SET requirepass. */
  #setDefaultPassword(password: string): void {
    this.default.passwords.clear();
    this.default.needsNoPassword = password === '';
    if (password !== '') this.default.passwords.add(hashPassword(Buffer.from(password)));
  }

  #addConfigured(lines: readonly (readonly string[])[]): void {
    for (const words of lines) {
      const bytes = words.map((word) => Buffer.from(word).toString('latin1'));
      try {
        this.#put(userFromWords(bytes, this.#context));
      } catch (error) {
        if (error instanceof RuleError) throw new Error(`user ${words[0]}: ${error.message}`, { cause: error });
        throw error;
      }
    }
  }

  #put(user: User): void {
    const known = this.#byName.get(user.name);
    if (known === undefined) this.#byName.set(user.name, user);
    else known.become(user);
  }

  // ---- asking ----

  /** In the order of their names, as Redis has them. */
  get all(): User[] {
    return [...this.#byName.values()].sort((left, right) => (left.name < right.name ? -1 : 1));
  }

  /** @param name latin1 */
  named(name: string): User | undefined {
    return this.#byName.get(name);
  }

  /** Why the session may not run the request, as an error reply; null when it may. Only asked of sessions that are not unrestricted. */
  refusal(request: Request, session: Session): string | null {
    const { command } = request;
    const isFree = command.flags.includes('no_auth');
    if (!session.authenticated && !isFree && !this.default.isOpen) return 'NOAUTH Authentication required.';
    const context = session.queued === null ? 'toplevel' : 'multi';
    return this.#refusal(request, session, context, NOT_ALLOWED);
  }

  /** The same for a command that EXEC is about to run. */
  refusalOfQueued(request: Request, session: Session): string | null {
    return this.#refusal(request, session, 'multi', NO_LONGER_ALLOWED);
  }

  /** The same for a command that a script calls. */
  refusalOfScript(request: Request, caller: Session): string | null {
    return this.#refusal(request, caller, 'lua', NOT_ALLOWED_IN_SCRIPT);
  }

  /** Whether the session's user may run a command; nobody is told of it. */
  mayRun(request: Request, session: Session): boolean {
    return session.isUnrestricted || denialOf(session.user, request.command, request) === null;
  }

  /** Why a session that waits may no longer run what it waits in, in the words of Redis 7.2, which is the first to ask. */
  refusalOfWaiting(name: string, words: readonly Buffer[], session: Session): string | null {
    const command = this.commands.named(name);
    if (command === undefined) return null;
    const refusal = this.#refusal({ command, ...packedWords(words) }, session, 'toplevel', NOT_ALLOWED_ANY_MORE);
    if (refusal === null) return null;
    command.rejected++;
    this.#surroundings?.statistics.countError(refusal);
    return refusal;
  }

  #refusal(request: Request, session: Session, context: AccessContext, words: Words): string | null {
    const denial = denialOf(session.user, request.command, request);
    if (denial === null) return null;
    this.#note(request, { session, context, denial });
    return words[denial.reason](request.command.fullName);
  }

  #note(request: Request, { session, context, denial }: Refused): void {
    const { command, buffer, starts, lengths } = request;
    const { reason, index } = denial;
    this.#surroundings?.statistics.countDenial(reason);
    if (context !== 'lua')
      session.lastCommand = context === 'multi' && session.queued === null ? 'exec' : command.fullName;
    const end = starts[index] + lengths[index];
    const object = reason === 'command' ? command.fullName : buffer.toString('latin1', starts[index], end);
    this.noteDenial(session, reason, context, object, session.user.name);
  }

  /** Puts into the log what a session may not do, or that it does not know a password. */
  noteDenial(
    session: Session,
    reason: DenialReason | 'auth',
    context: AccessContext,
    object: string,
    userName: string,
  ): void {
    if (this.#surroundings === null) return;
    const { clock } = this.#surroundings;
    const event = { reason, context, object, userName, clientLine: this.#surroundings.describe(session) };
    this.log.add(event, clock.nowMs, Number(this.#config.values['acllog-max-len']));
  }

  // ---- changing ----

  /**
   * ACL SETUSER: all of the rules or none.
   * @throws RuleError
   */
  change(name: string, words: readonly string[], current: Session | null): void {
    const context = this.#context;
    const known = this.#byName.get(name);
    const changed = known?.copy() ?? newUser(name, context);
    for (const rule of joinSelectors(words)) {
      try {
        applyRule(changed, rule, context);
      } catch (error) {
        if (!(error instanceof RuleError)) throw error;
        throw new RuleError(`Error in ACL SETUSER modifier '${rule}': ${error.message}`);
      }
    }
    if (known === undefined) this.#byName.set(name, changed);
    else this.#replace(known, changed, current);
  }

  /** The user is what it has become; who listens to what it may no longer hear is cut off. */
  #replace(user: User, changed: User, current: Session | null): void {
    const losesChannels = hasLostChannels(user, changed);
    user.become(changed);
    for (const session of this.#sessionsOf(user)) {
      session.user = user;
      if (losesChannels && !mayHear(session)) this.#close(session, current);
    }
  }

  /** ACL DELUSER. @returns whether there was one */
  remove(name: string, current: Session | null): boolean {
    const user = this.#byName.get(name);
    if (user === undefined) return false;
    this.#byName.delete(name);
    this.#expel(user, current);
    return true;
  }

  #expel(user: User, current: Session | null): void {
    // What it has queued, or runs in a script, is refused too.
    user.become(newUser(user.name, { ...this.#context, startsWithAllChannels: false }));
    for (const session of this.#sessionsOf(user)) {
      session.user = user;
      this.#close(session, current);
    }
  }

  #sessionsOf(user: User): Session[] {
    return [...(this.#surroundings?.sessions.values() ?? [])].filter((session) => session.user === user);
  }

  #close(session: Session, current: Session | null): void {
    // The one that asks for it is still to have its reply.
    if (session === current) session.closing = true;
    else session.transport.destroy();
  }

  // ---- files ----

  get hasFile(): boolean {
    return this.#file !== null;
  }

  /** ACL LOAD: all that the file has, or nothing. @throws Error that says what is wrong with it */
  load(current: Session | null): void {
    if (this.#file !== null) this.#takeFrom(this.#file, current);
  }

  #takeFrom(path: string, current: Session | null = null): void {
    const loaded = new Map(readUsers(path, this.#context).map((user) => [user.name, user]));
    if (!loaded.has(DEFAULT_USER)) loaded.set(DEFAULT_USER, this.#madeByRequirepass());
    for (const [name, user] of this.#byName) {
      if (loaded.has(name)) continue;
      this.#byName.delete(name);
      this.#expel(user, current);
    }
    for (const [name, user] of loaded) {
      const known = this.#byName.get(name);
      if (known === undefined) this.#byName.set(name, user);
      else this.#replace(known, user, current);
    }
  }

  /** The default user as it is when nothing but requirepass is said of it. */
  #madeByRequirepass(): User {
    const user = unrestrictedUser(DEFAULT_USER, this.commands.all.length);
    const { requirepass } = this.#config.values;
    if (requirepass === '') return user;
    user.needsNoPassword = false;
    user.passwords.add(hashPassword(Buffer.from(requirepass)));
    return user;
  }

  /** ACL SAVE: the file is the old one or the new one, whatever happens. @throws Error of the file system */
  save(): void {
    if (this.#file === null) return;
    const text = this.all.map((user) => `${lineOf(user)}\n`).join('');
    replaceFile(this.#file, Buffer.from(text, 'latin1'));
  }

  /** Tells the configuration what the users are now, before CONFIG REWRITE writes it, where there is no ACL file. */
  keepConfigured(): void {
    if (this.#file !== null) return;
    const plain = this.#madeByRequirepass().text;
    const told = this.all.filter((user) => user !== this.default || user.text !== plain);
    this.#config.keep(
      'user',
      told.map((user) => Buffer.from(`${user.name} ${user.text}`, 'latin1').toString().split(' ')),
    );
  }
}

/** Whether the user could hear something that it can hear no longer. */
function hasLostChannels(before: User, after: User): boolean {
  if (after.selectors.some(({ allChannels }) => allChannels)) return false;
  const kept = new Set(after.selectors.flatMap(({ channels }) => channels.map(({ text }) => text)));
  return before.selectors.some(
    ({ allChannels, channels }) => allChannels || channels.some(({ text }) => !kept.has(text)),
  );
}

/** Whether its user may listen to all that the session listens to. */
function mayHear({ user, subscriptions }: Session): boolean {
  if (subscriptions === null) return true;
  const may = (name: string, isPattern: boolean): boolean => {
    const bytes = Buffer.from(name, 'latin1');
    return user.selectors.some((selector) => selector.mayUseChannel(bytes, 0, bytes.length, isPattern));
  };
  const names = [...subscriptions.channels, ...subscriptions.shards];
  return names.every((name) => may(name, false)) && [...subscriptions.patterns].every((name) => may(name, true));
}
