/** Durable stores, files, and what is promised to a writer. */
import { directory, directoryOrNone, durability, mysqlUrl } from '../node-types.ts';
import { duration, text, yesNo } from '../option-type.ts';
import { option } from '../option-definition.ts';

export const persistenceOptions = {
  'data-dir': option(
    directoryOrNone(),
    './mantis-data',
    'Folder of the embedded store, relative to `dir`; `none` turns it off, for hosts without a disk.',
    { mutable: 'start' },
  ),
  mysql: option(mysqlUrl(), '', 'MySQL database that the content is flushed to and loaded from; empty is none.', {
    mutable: 'start',
    secret: 'masked',
  }),
  'takeover-after': option(
    duration('ms', 100),
    '10s',
    'How long a peer may be silent in MySQL before what it had not written there is written by the others.',
    { mutable: 'start' },
  ),
  'backup-dir': option(
    text('path, `none`'),
    '',
    'Folder that BGSAVE copies the embedded store to, over the copy before; empty is the `data-dir` with `-backup` after its ' +
      'name, `none` makes BGSAVE flush only.',
    { mutable: 'start' },
  ),
  'flush-interval': option(duration('ms', 1), '1s', 'How often changes are flushed to the durable stores.'),
  durability: option(
    durability(),
    'interval',
    'What must hold before a write is answered: nothing (`memory`), nothing but flushed within `flush-interval` (`interval`), ' +
      'synced to the embedded store (`always`), to MySQL (`mysql`), or acknowledged by N peers (`replicas=N`).',
    { mutable: 'start' },
  ),
  'read-through': option(
    yesNo(),
    'no',
    'Reads a key that was evicted back from the durable stores when a command names it.',
    { mutable: 'start' },
  ),
  'read-through-timeout': option(
    duration('ms', 1),
    '5s',
    'How long a command waits for the durable stores to read its keys, or to take what memory has to make room for.',
  ),
  'shutdown-timeout': option(
    duration('s'),
    '10',
    'How long a stop may take to drain clients and flush; bare numbers are seconds. 0 waits for no peer, and flushes within 10 s.',
  ),
  dir: option(directory(), './', 'Working directory: relative paths start here.', { protected: true }),
  pidfile: option(text('path'), '', 'File that holds the process id while the server runs; empty writes none.', {
    mutable: 'never',
  }),
};
