/** Sizes at which a collection changes its encoding, as OBJECT ENCODING shows it. */
import { integer, longInteger, size } from '../option-type.ts';
import { option } from '../option-definition.ts';

export const thresholdOptions = {
  'hash-max-listpack-entries': option(longInteger(), '512', 'Fields up to which a hash is a listpack.', {
    aliases: ['hash-max-ziplist-entries'],
  }),
  'hash-max-listpack-value': option(size(), '64', 'Bytes up to which a field of such a hash may go.', {
    aliases: ['hash-max-ziplist-value'],
  }),
  'list-max-listpack-size': option(
    integer(-2147483648),
    '-2',
    'Elements of a list node; -1 to -5 stand for 4, 8, 16, 32 and 64 kb.',
    { aliases: ['list-max-ziplist-size'] },
  ),
  'set-max-intset-entries': option(longInteger(), '512', 'Members up to which a set of integers is an intset.'),
  'set-max-listpack-entries': option(longInteger(), '128', 'Members up to which another set is a listpack.'),
  'set-max-listpack-value': option(size(), '64', 'Bytes up to which a member of such a set may go.'),
  'zset-max-listpack-entries': option(longInteger(), '128', 'Members up to which a sorted set is a listpack.', {
    aliases: ['zset-max-ziplist-entries'],
  }),
  'zset-max-listpack-value': option(size(), '64', 'Bytes up to which a member of such a sorted set may go.', {
    aliases: ['zset-max-ziplist-value'],
  }),
  'stream-node-max-bytes': option(
    size(),
    '4096',
    'Bytes of entries, about, that XADD and XTRIM with ~ remove at once; 0 is no limit.',
  ),
  'stream-node-max-entries': option(
    longInteger(),
    '100',
    'Entries that XADD and XTRIM with ~ remove at once; 0 is no limit.',
  ),
  'hll-sparse-max-bytes': option(size(), '3000', 'Bytes up to which a HyperLogLog is sparse.'),
};
