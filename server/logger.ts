/** Log lines: JSON through pino, to a file or to standard error, at Redis's levels. */
import { type Logger, destination, pino } from 'pino';
import type { Log } from '../replication/environment.ts';
import type { ConfigValues } from './config/option-table.ts';

const LEVELS: Readonly<Record<string, string>> = {
  debug: 'debug',
  verbose: 'debug',
  notice: 'info',
  warning: 'warn',
  nothing: 'silent',
};

export function createLogger(values: ConfigValues): Logger {
  const to = destination({ dest: values.logfile === '' ? 2 : values.logfile, sync: true, mkdir: true });
  return pino({ level: LEVELS[values.loglevel] ?? 'info', base: null, timestamp: pino.stdTimeFunctions.isoTime }, to);
}

/** The logger as replication takes it. */
export function replicationLog(logger: Logger): Log {
  return {
    debug: (message, fields) => logger.debug(fields ?? {}, message),
    info: (message, fields) => logger.info(fields ?? {}, message),
    warn: (message, fields) => logger.warn(fields ?? {}, message),
    error: (message, fields) => logger.error(fields ?? {}, message),
  };
}
