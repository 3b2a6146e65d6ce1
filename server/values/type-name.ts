/** The types of keys by the names that TYPE and SCAN use. */
import {
  TYPE_HASH,
  TYPE_LIST,
  TYPE_SET,
  TYPE_SORTED_SET,
  TYPE_STREAM,
  TYPE_STRING,
} from '../../storage/arena/block.ts';

const NAMES: string[] = [];
NAMES[TYPE_STRING] = 'string';
NAMES[TYPE_LIST] = 'list';
NAMES[TYPE_SET] = 'set';
NAMES[TYPE_SORTED_SET] = 'zset';
NAMES[TYPE_HASH] = 'hash';
NAMES[TYPE_STREAM] = 'stream';

export function typeName(type: number): string {
  return NAMES[type];
}
