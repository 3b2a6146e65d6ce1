import { LatencyMonitor } from './latency-monitor.ts';
import { SlowLog } from './slow-log.ts';

const CODE_LENGTH_MAX = 30;
/** Scripts make up codes; past so many different ones only commands' own are counted by themselves, as in Valkey 8. */
const CODES_MAX = 128;
const OWN_CODES: ReadonlySet<string> = new Set(
  (
    'ERR WRONGTYPE NOAUTH NOPERM WRONGPASS NOSCRIPT NOPROTO OOM MISCONF LOADING BUSYKEY BUSYGROUP NOGROUP EXECABORT UNBLOCKED ' +
    'IOERR NOTBUSY INVALIDOBJ'
  ).split(' '),
);

/** Counters that INFO shows. CONFIG RESETSTAT sets them back. */
export class Statistics {
  /** Not set back by CONFIG RESETSTAT: SLOWLOG RESET and LATENCY RESET do that. */
  readonly slowLog = new SlowLog();
  readonly latency = new LatencyMonitor();
  connectionsReceived = 0;
  connectionsRejected = 0;
  commandsProcessed = 0;
  bytesIn = 0;
  bytesOut = 0;
  /** Times that bytes came from a client, and that bytes were handed to the kernel for one. */
  reads = 0;
  writes = 0;
  /** How often the stores were made to have everything: SAVE, BGSAVE, a stop. */
  saves = 0;
  keyspaceHits = 0;
  keyspaceMisses = 0;
  errorReplies = 0;
  unexpectedErrorReplies = 0;
  evictedKeys = 0;
  evictedClients = 0;
  authenticationFailures = 0;
  deniedCommands = 0;
  deniedKeys = 0;
  deniedChannels = 0;
  outputLimitDisconnections = 0;
  queryLimitDisconnections = 0;
  protocolErrors = 0;
  usedMemoryPeakBytes = 0;
  /** Error replies by their code: ERR, WRONGTYPE, … */
  readonly errorCounts = new Map<string, number>();
  /** Commands a second, sampled ten times a second over the last 16 samples. */
  readonly operationSamples = new Float64Array(16);
  readonly bytesInSamples = new Float64Array(16);
  readonly bytesOutSamples = new Float64Array(16);
  sampleIndex = 0;

  reset(): void {
    this.connectionsReceived = 0;
    this.connectionsRejected = 0;
    this.commandsProcessed = 0;
    this.bytesIn = 0;
    this.bytesOut = 0;
    this.reads = 0;
    this.writes = 0;
    this.keyspaceHits = 0;
    this.keyspaceMisses = 0;
    this.errorReplies = 0;
    this.unexpectedErrorReplies = 0;
    this.evictedKeys = 0;
    this.evictedClients = 0;
    this.authenticationFailures = 0;
    this.deniedCommands = 0;
    this.deniedKeys = 0;
    this.deniedChannels = 0;
    this.outputLimitDisconnections = 0;
    this.queryLimitDisconnections = 0;
    this.protocolErrors = 0;
    this.errorCounts.clear();
    this.operationSamples.fill(0);
    this.bytesInSamples.fill(0);
    this.bytesOutSamples.fill(0);
  }

  /** A user may not do what it asked for. */
  countDenial(reason: 'command' | 'key' | 'channel'): void {
    if (reason === 'command') this.deniedCommands++;
    else if (reason === 'key') this.deniedKeys++;
    else this.deniedChannels++;
  }

  /** @param message an error reply, its code first */
  countError(message: string): void {
    this.errorReplies++;
    const space = message.indexOf(' ');
    // As Redis: what begins with so long a word has no code.
    const code = space < 0 || space > CODE_LENGTH_MAX ? 'ERR' : message.slice(0, space).replace(/[#:\n\r]/g, '_');
    const isCounted = this.errorCounts.size < CODES_MAX || this.errorCounts.has(code) || OWN_CODES.has(code);
    const counted = isCounted ? code : 'ERRORSTATS_OVERFLOW';
    this.errorCounts.set(counted, (this.errorCounts.get(counted) ?? 0) + 1);
  }
}
