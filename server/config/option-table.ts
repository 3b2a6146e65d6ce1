/** All options, by name, and the typed shape of their values. */
import type { OptionDefinition } from './option-definition.ts';
import { clusterOptions } from './options/cluster.ts';
import { compatibilityOptions } from './options/compatibility.ts';
import { limitOptions } from './options/limits.ts';
import { loggingOptions } from './options/logging.ts';
import { memoryOptions } from './options/memory.ts';
import { networkOptions } from './options/network.ts';
import { persistenceOptions } from './options/persistence.ts';
import { securityOptions } from './options/security.ts';
import { thresholdOptions } from './options/thresholds.ts';

type EffectiveOptions = typeof networkOptions &
  typeof clusterOptions &
  typeof persistenceOptions &
  typeof limitOptions &
  typeof memoryOptions &
  typeof securityOptions &
  typeof loggingOptions &
  typeof thresholdOptions;

/** Name of an option that does something. */
export type OptionName = keyof EffectiveOptions;

/** The value of an option, as `config.values` holds it. */
export type OptionValue<N extends OptionName> = EffectiveOptions[N] extends OptionDefinition<infer T> ? T : never;

/** One plain field per option, by its name: `values['max-clock-drift']`. Durations are milliseconds, sizes bytes. */
export type ConfigValues = { readonly [N in OptionName]: OptionValue<N> };

/** An option as the machinery of this folder handles it, whatever its type. */
export interface Option {
  readonly name: string;
  readonly group: string;
  readonly definition: OptionDefinition<unknown>;
}

export interface OptionGroup {
  readonly title: string;
  readonly options: readonly Option[];
}

/** Forgets the type of the value: from here on, only the option's own type object touches it. */
function untyped(definition: unknown): OptionDefinition<unknown> {
  return definition as OptionDefinition<unknown>;
}

function group(title: string, definitions: object): OptionGroup {
  const options = Object.entries(definitions).map(([name, given]) => {
    const definition = untyped(given);
    return { name, group: title, definition };
  });
  return { title, options };
}

export const optionGroups: readonly OptionGroup[] = [
  group('Network', networkOptions),
  group('Peers', clusterOptions),
  group('Durability and files', persistenceOptions),
  group('Limits', limitOptions),
  group('Memory', memoryOptions),
  group('Security', securityOptions),
  group('Log and events', loggingOptions),
  group('Encodings', thresholdOptions),
  group('Accepted for compatibility, no effect', compatibilityOptions),
];

export const allOptions: readonly Option[] = optionGroups.flatMap((each) => each.options);

const byName: ReadonlyMap<string, Option> = new Map(
  allOptions.flatMap((option) => [option.name, ...option.definition.aliases].map((name) => [name, option] as const)),
);

/** Finds an option by name or alias, in any letter case. */
export function findOption(name: string): Option | undefined {
  return byName.get(name.toLowerCase());
}

/** Every name, aliases included. */
export const allNames: readonly string[] = [...byName.keys()];

/** The value that an option has when nobody sets it. */
export function defaultValue(option: Option): unknown {
  const { type, fallback } = option.definition;
  return type.parse(type.many ? fallback.split(' ') : [fallback], undefined);
}
