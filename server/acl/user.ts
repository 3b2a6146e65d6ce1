/** A user: whether and how one becomes it, and what it may do. */
import { createHash } from 'node:crypto';
import { Selector } from './selector.ts';

/** A SHA-256, in lower-case hexadecimal digits: passwords are kept as that. */
export function hashPassword(password: Uint8Array): string {
  return createHash('sha256').update(password).digest('hex');
}

export class User {
  /** Latin1 of its bytes. */
  readonly name: string;
  isOn = false;
  /** Any password will do. */
  needsNoPassword = false;
  /** Kept and shown for Redis's sake, null where nobody has said anything: RESTORE always checks its payload here. */
  sanitizesPayload: boolean | null = true;
  /** Hashes. */
  passwords = new Set<string>();
  /** The first one is its own; the others were given in parentheses. */
  selectors: readonly [Selector, ...Selector[]];

  /** Someone who can do nothing yet. */
  constructor(name: string, commandCount: number) {
    this.name = name;
    this.selectors = [new Selector(commandCount)];
  }

  get own(): Selector {
    return this.selectors[0];
  }

  /** A copy to be changed. */
  copy(): User {
    const copied = new User(this.name, 0);
    copied.become(this);
    const [own, ...others] = this.selectors;
    copied.selectors = [own.copy(), ...others.map((selector) => selector.copy())];
    return copied;
  }

  /** Takes over what another one is and may do, which is given up. */
  become(other: User): void {
    this.isOn = other.isOn;
    this.needsNoPassword = other.needsNoPassword;
    this.sanitizesPayload = other.sanitizesPayload;
    this.passwords = new Set(other.passwords);
    this.selectors = other.selectors;
  }

  /** Whether there is nothing to ask before a command of its. */
  get isUnrestricted(): boolean {
    return this.selectors.some((selector) => selector.isUnrestricted);
  }

  /** Whether one is this user without a word. */
  get isOpen(): boolean {
    return this.isOn && this.needsNoPassword;
  }

  /** What ACL GETUSER calls flags. */
  get flags(): string[] {
    const flags = [this.isOn ? 'on' : 'off'];
    if (this.needsNoPassword) flags.push('nopass');
    if (this.sanitizesPayload !== null)
      flags.push(this.sanitizesPayload ? 'sanitize-payload' : 'skip-sanitize-payload');
    return flags;
  }

  /** Its rules, as ACL LIST and the ACL file have them behind its name. */
  get text(): string {
    const [own, ...others] = this.selectors;
    const hashes = [...this.passwords].map((hash) => `#${hash}`);
    return [...this.flags, ...hashes, own.text, ...others.map(({ text }) => `(${text})`)].join(' ');
  }
}

/** Who may do everything: sessions that belong to no client, and the default user before anybody says otherwise. */
export function unrestrictedUser(name: string, commandCount: number): User {
  const user = new User(name, commandCount);
  user.isOn = true;
  user.needsNoPassword = true;
  user.sanitizesPayload = null;
  user.own.setAllCommands(true);
  user.own.allKeys = true;
  user.own.allChannels = true;
  return user;
}
