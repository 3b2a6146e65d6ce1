/** What a file of commands needs: definitions whose handlers take a `Call`, and the errors that they throw. */
import type { Call } from '../dispatch/call.ts';
import type { CommandOf, DefinitionOf, KeyFlag, KeySpec } from './command-definition.ts';

export { CommandError, NOT_AN_INTEGER, NOT_A_FLOAT, WRONG_TYPE } from './command-error.ts';
export type { CommandFlag, CommandGroup, KeyFlag, KeySpec } from './command-definition.ts';

export type CommandDefinition = DefinitionOf<Call>;
export type Command = CommandOf<Call>;

/** Identity, for the types: `export const commands = [command({ … }), …]`. */
export function command(definition: CommandDefinition): CommandDefinition {
  return definition;
}

/** A range of keys. */
export function keyRange(first: number, last: number, step: number, ...flags: KeyFlag[]): KeySpec {
  return { kind: 'range', first, last, step, flags };
}
