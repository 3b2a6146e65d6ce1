/** HSCAN, SSCAN, ZSCAN: a walk over the elements of one key, a few at a time. */
import { GlobPattern } from '../../protocol/glob.ts';
import { TYPE_HASH, TYPE_SORTED_SET } from '../../storage/arena/block.ts';
import type { MemberCollection } from '../../storage/collections/member-collection.ts';
import { HASH_END } from '../../storage/index/key-index.ts';
import type { Call } from '../dispatch/call.ts';
import { useCollection } from './collection-use.ts';
import { cursorArgument } from '../commands/scan.ts';
import { collectionEncoding } from './encoding.ts';

const COUNT_DEFAULT = 10;

interface ElementScanOptions {
  pattern: GlobPattern | null;
  count: number;
  withValues: boolean;
}

function parse(call: Call, type: number, hasValues: boolean): ElementScanOptions {
  const options: ElementScanOptions = { pattern: null, count: COUNT_DEFAULT, withValues: hasValues };
  for (let index = 3; index < call.argc; index++) {
    if (call.is(index, 'COUNT') && index + 1 < call.argc) {
      options.count = call.integer(++index);
      if (options.count < 1) call.syntaxError();
    } else if (call.is(index, 'MATCH') && index + 1 < call.argc) {
      const pattern = new GlobPattern(call.buffer, call.starts[++index], call.lengths[index]);
      options.pattern = pattern.matchesAll ? null : pattern;
    } else if (type === TYPE_HASH && call.is(index, 'NOVALUES')) {
      options.withValues = false;
    } else if (type === TYPE_SORTED_SET && call.is(index, 'NOSCORES')) {
      options.withValues = false;
    } else {
      call.syntaxError();
    }
  }
  return options;
}

/**
 * Runs the command: `replyElement` writes an element's one or, with values, two parts. A collection that Redis would keep in
 * one piece is answered whole, as Redis does.
 */
export function scanElements(
  call: Call,
  type: number,
  hasValues: boolean,
  replyElement: (element: number, withValues: boolean) => void,
): void {
  const { keyspace, reply } = call;
  const cursor = cursorArgument(call, 2);
  const collection = useCollection(call, 1, type) as MemberCollection | null;
  if (collection === null) {
    reply.array(2);
    reply.bulkString('0');
    reply.array(0);
    return;
  }
  const { pattern, count, withValues } = parse(call, type, hasValues);
  const { elements } = keyspace;
  const found: number[] = [];
  const visit = (element: number): void => {
    if (elements.isDue(element, keyspace.clock.nowMs)) return;
    if (pattern !== null) {
      elements.readName(element);
      if (!pattern.matches(elements.nameBuffer, elements.nameStart, elements.nameLength)) return;
    }
    found.push(element);
  };
  const encoding = collectionEncoding(call, collection);
  let next = HASH_END;
  if (encoding === 'listpack' || encoding === 'intset') collection.forEach(visit);
  else next = collection.scan(Math.min(cursor, HASH_END), count, visit);
  reply.array(2);
  reply.bulkInteger(next === HASH_END ? 0 : next);
  reply.array(withValues ? found.length * 2 : found.length);
  for (const element of found) replyElement(element, withValues);
}
