/** What the server says about itself: log, slow log, latency, keyspace events. */
import { keyspaceEvents, percentiles } from '../composite-types.ts';
import { choice, duration, integer, longInteger, text, yesNo } from '../option-type.ts';
import { accepted, option } from '../option-definition.ts';

export const loggingOptions = {
  loglevel: option(choice('debug', 'verbose', 'notice', 'warning'), 'notice', 'How much is logged.'),
  logfile: option(
    text('path'),
    '',
    'File that the log is appended to, opened anew for each line, so that it may be renamed; empty is standard error.',
    {
      mutable: 'never',
    },
  ),
  'slowlog-log-slower-than': option(
    longInteger(-1),
    '10000',
    'Microseconds from which a command enters the slow log; -1 logs none, 0 all.',
  ),
  'slowlog-max-len': option(longInteger(), '128', 'Entries that the slow log keeps.'),
  'latency-monitor-threshold': option(
    duration('ms', 0, 9223372036854775807n),
    '0',
    'Delays from which LATENCY remembers an event; bare numbers are milliseconds, 0 is off.',
  ),
  'latency-tracking': option(yesNo(), 'yes', 'Keeps the distribution of the time that each command takes.'),
  'latency-tracking-info-percentiles': option(percentiles(), '50 99 99.9', 'Percentiles that INFO latencystats shows.'),
  'notify-keyspace-events': option(
    keyspaceEvents(),
    '',
    'Events that are published: K and E choose the channels, the other letters the classes, A is all of them.',
  ),
  'watchdog-period': accepted(
    integer(),
    '0',
    'Milliseconds that a turn of the event loop may take before it is logged; 0 is off.',
    {
      hidden: true,
    },
  ),
};
