/** The definition of one option: everything that flags, variables, file lines, CONFIG and the documentation say about it. */
import type { OptionType } from './option-type.ts';

export interface OptionDefinition<T> {
  readonly type: OptionType<T>;
  /** The default, in the option's own syntax. */
  readonly fallback: string;
  /** One sentence for the help and the documentation. */
  readonly summary: string;
  /**
   * `runtime`: CONFIG SET changes it. `start`: CONFIG SET takes only the value that it has. `never`: CONFIG SET refuses it,
   * as Redis does for its own immutable options.
   */
  readonly mutable: 'runtime' | 'start' | 'never';
  /** CONFIG SET needs `enable-protected-configs`. */
  readonly protected: boolean;
  /** `shown`: only CONFIG GET shows it, as Redis shows requirepass. `masked`: not even CONFIG GET does. */
  readonly secret: 'no' | 'shown' | 'masked';
  /** CONFIG GET shows it under its exact name only. */
  readonly hidden: boolean;
  /** CONFIG SET of the value that it has counts as a change: what it names may have become another. */
  readonly isReread: boolean;
  /** CONFIG GET and SET do not know it: other commands show and change it. */
  readonly unknownToConfig: boolean;
  /** Other names, listed by CONFIG GET like the first. */
  readonly aliases: readonly string[];
  readonly since: string;
  /** False: accepted, kept and shown because clients and tools set it; it changes nothing. */
  readonly effective: boolean;
  /** For an option without effect: what does the job here. */
  readonly instead: string | undefined;
}

export interface OptionTraits {
  mutable?: 'runtime' | 'start' | 'never';
  protected?: boolean;
  secret?: 'no' | 'shown' | 'masked';
  hidden?: boolean;
  isReread?: boolean;
  unknownToConfig?: boolean;
  aliases?: readonly string[];
  since?: string;
  instead?: string;
}

function define<T>(
  type: OptionType<T>,
  fallback: string,
  summary: string,
  traits: OptionTraits,
  effective: boolean,
): OptionDefinition<T> {
  return {
    type,
    fallback,
    summary,
    mutable: traits.mutable ?? 'runtime',
    protected: traits.protected ?? false,
    secret: traits.secret ?? 'no',
    hidden: traits.hidden ?? false,
    isReread: traits.isReread ?? false,
    unknownToConfig: traits.unknownToConfig ?? false,
    aliases: traits.aliases ?? [],
    since: traits.since ?? '0.1.0',
    effective,
    instead: traits.instead,
  };
}

/** An option that does something. */
export function option<T>(
  type: OptionType<T>,
  fallback: string,
  summary: string,
  traits: OptionTraits = {},
): OptionDefinition<T> {
  return define(type, fallback, summary, traits, true);
}

/** An option of Redis that is accepted and kept, and changes nothing. */
export function accepted<T>(
  type: OptionType<T>,
  fallback: string,
  summary: string,
  traits: OptionTraits = {},
): OptionDefinition<T> {
  return define(type, fallback, summary, traits, false);
}
