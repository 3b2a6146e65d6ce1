/** Memory bound and eviction. */
import { choice, integer, size } from '../option-type.ts';
import { option } from '../option-definition.ts';

const UINT64_MAX = 18446744073709551615n;

export const memoryOptions = {
  maxmemory: option(size(0, UINT64_MAX), '0', 'Bytes that the process may grow by with its data; 0 is no limit.'),
  'maxmemory-policy': option(
    choice(
      'volatile-lru',
      'volatile-lfu',
      'volatile-random',
      'volatile-ttl',
      'allkeys-lru',
      'allkeys-lfu',
      'allkeys-random',
      'noeviction',
    ),
    'noeviction',
    'Which keys leave this node when `maxmemory` is reached. Eviction is local and deletes nothing elsewhere.',
  ),
  'maxmemory-samples': option(integer(1), '5', 'Keys looked at for each eviction; more choose better and take longer.'),
  'maxmemory-eviction-tenacity': option(
    integer(0, 100),
    '10',
    'How long one command may evict before it goes on, 0 to 100.',
  ),
  'lfu-log-factor': option(integer(), '10', 'How slowly the frequency counter of a key grows.'),
  'lfu-decay-time': option(
    integer(),
    '1',
    'Minutes after which the frequency counter of a key that is not used falls by one.',
  ),
};
