/** Bounds on clients and on what they send, and the general shape of the server. */
import { outputLimits, sizeOrPercent } from '../composite-types.ts';
import { duration, integer, longInteger, size } from '../option-type.ts';
import { option } from '../option-definition.ts';

export const limitOptions = {
  databases: option(integer(1, 65535), '16', 'Number of databases that SELECT can name.', { mutable: 'never' }),
  maxclients: option(
    integer(1, 4294967295),
    '10000',
    'Connections of clients at one time, peers not counted; fewer where the process may not open so many files.',
  ),
  'proto-max-bulk-len': option(size(1048576), '512mb', 'Longest argument of a command, in bytes.'),
  'client-query-buffer-limit': option(
    size(1048576),
    '1gb',
    'Bytes that are kept for a client: of one incomplete command, or of a pipeline whose replies it does not take.',
  ),
  'client-output-buffer-limit': option(
    outputLimits(),
    'normal 0 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60',
    'Bytes of unread replies at which a client is closed, by its class; 0 is no limit.',
  ),
  'maxmemory-clients': option(
    sizeOrPercent(),
    '0',
    'Memory of all client buffers together, past which the largest go; 0 is no limit.',
  ),
  hz: option(
    integer(0, 2147483647, [1, 500]),
    '10',
    'What INFO tells as rounds of housekeeping a second, 1 to 500; there are 10.',
  ),
  'busy-reply-threshold': option(
    duration('ms', 0, 9223372036854775807n),
    '5000',
    'While a script has run for longer, others are told BUSY and may kill it; 0 lets it run alone. Bare numbers are milliseconds.',
    { aliases: ['lua-time-limit'] },
  ),
  'tracking-table-max-keys': option(
    longInteger(),
    '1000000',
    'Keys remembered for client-side caching; 0 is no limit.',
  ),
};
