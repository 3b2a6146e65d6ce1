/** Log lines: JSON through pino, to a file or to standard error, at Redis's levels. */
import { type Logger, pino } from 'pino';
import type { Log } from '../../replication/environment.ts';
import type { Config } from '../config/config.ts';
import { LogFile } from './log-file.ts';

const LEVELS: Readonly<Record<string, string>> = {
  debug: 'debug',
  verbose: 'debug',
  notice: 'info',
  warning: 'warn',
  nothing: 'silent',
};

/** The log as the configuration wants it, `loglevel` also when it changes. @throws Error when `logfile` cannot be written */
export function createLogger(config: Config): Logger {
  const { values } = config;
  const level = (): string => LEVELS[values.loglevel] ?? 'info';
  const options = { level: level(), base: null, timestamp: pino.stdTimeFunctions.isoTime };
  const logger = pino(options, new LogFile(values.logfile));
  config.onChange('loglevel', () => (logger.level = level()));
  return logger;
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
