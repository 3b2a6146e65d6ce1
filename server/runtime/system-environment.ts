/** The world as it is: this machine's clock, randomness, network and log. */
import { systemRandom, systemTime } from '../../replication/system.ts';
import { tcpNetwork } from '../../replication/tcp.ts';
import { journalFolder } from '../../storage/journal/journal-folder.ts';
import type { Config } from '../config/config.ts';
import { folderSeal } from '../persistence/folder-seal.ts';
import { createLogger, replicationLog } from './logger.ts';
import type { RuntimeEnvironment } from '../runtime.ts';
import { peerTls } from './runtime-options.ts';

export function systemEnvironment(config: Config): RuntimeEnvironment {
  const logger = createLogger(config);
  return {
    time: systemTime,
    random: systemRandom,
    network: tcpNetwork(peerTls(config.values)),
    outbound: tcpNetwork(),
    log: replicationLog(logger),
    logger,
    wallClockMs: () => Date.now(),
    exit: (code) => process.exit(code),
    journalFolder,
    folderSeal,
  };
}
