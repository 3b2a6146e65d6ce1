/** Access categories of commands, derived from their flags and group as Redis derives them. */
import type { CommandGroup, DefinitionOf } from '../definitions/command-definition.ts';

/** In the order in which Redis lists them. */
export const ACL_CATEGORIES = [
  'keyspace',
  'read',
  'write',
  'set',
  'sortedset',
  'list',
  'hash',
  'string',
  'bitmap',
  'hyperloglog',
  'geo',
  'stream',
  'pubsub',
  'admin',
  'fast',
  'slow',
  'blocking',
  'dangerous',
  'connection',
  'transaction',
  'scripting',
] as const;

const CATEGORY_OF_GROUP: Partial<Record<CommandGroup, string>> = {
  string: 'string',
  bitmap: 'bitmap',
  hash: 'hash',
  set: 'set',
  'sorted-set': 'sortedset',
  list: 'list',
  stream: 'stream',
  hyperloglog: 'hyperloglog',
  geo: 'geo',
  connection: 'connection',
  transactions: 'transaction',
  scripting: 'scripting',
};

export function isCategory(name: string): boolean {
  return ACL_CATEGORIES.some((category) => category === name);
}

/** Categories without their `@`, in the order of the list above. */
export function categoriesOf(definition: DefinitionOf<never>): readonly string[] {
  const { flags } = definition;
  const found = new Set<string>(definition.categories);
  // A container does nothing itself: its subcommands are what is allowed or forbidden.
  const ofGroup = CATEGORY_OF_GROUP[definition.group];
  if (ofGroup !== undefined && definition.subcommands === undefined) found.add(ofGroup);
  if (flags.includes('write')) found.add('write');
  if (flags.includes('readonly') && definition.group !== 'scripting') found.add('read');
  if (flags.includes('admin')) found.add('admin').add('dangerous');
  if (flags.includes('pubsub')) found.add('pubsub');
  if (flags.includes('blocking')) found.add('blocking');
  found.add(flags.includes('fast') ? 'fast' : 'slow');
  return ACL_CATEGORIES.filter((category) => found.has(category));
}
