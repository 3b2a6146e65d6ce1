/** Tells the operator how links end, each thing once a minute at most, whatever the peers do. */
import {
  REFUSE_CLOCK,
  REFUSE_NODE_ID,
  REFUSE_SECOND_LINK,
  REFUSE_SELF,
  REFUSE_STOPPING,
} from '../../protocol/peer-frame.ts';
import type { Log } from '../environment.ts';
import type { Ending } from './ending.ts';
import type { ClockStanding } from '../membership/clock-watch.ts';
import type { Link } from './link.ts';

const AGAIN_AFTER_MS = 60_000;
const REMEMBERED_MAX = 1024;
/** Part of the mesh's ordinary life. */
const quiet = new Set([REFUSE_SELF, REFUSE_SECOND_LINK]);
/** Needs the operator. */
const grave = new Set([REFUSE_CLOCK, REFUSE_NODE_ID]);

export class RefusalLog {
  #log: Log;
  #clockAt: (nowMs: number) => ClockStanding;
  #toldAtMs = new Map<string, number>();

  /** @param clockAt how this node's clock stands against its peers' */
  constructor(log: Log, clockAt: (nowMs: number) => ClockStanding) {
    this.#log = log;
    this.#clockAt = clockAt;
  }

  failed(remoteHost: string, why: string, nowMs: number): void {
    const message = `refused peer at ${remoteHost}: ${why}`;
    if (this.#isFresh(message, nowMs)) this.#log.warn(message);
    else this.#log.debug(message);
  }

  unresolved(host: string, why: string, nowMs: number): void {
    const message = `no address of a peer is known by the name ${host}: ${why}; it is looked up again from time to time`;
    if (this.#isFresh(message, nowMs)) this.#log.warn(message);
    else this.#log.debug(message);
  }

  /** Whether a thing was not told lately; it counts as told now. */
  #isFresh(key: string, nowMs: number): boolean {
    const toldAtMs = this.#toldAtMs.get(key);
    if (toldAtMs !== undefined && nowMs - toldAtMs < AGAIN_AFTER_MS) return false;
    if (this.#toldAtMs.size >= REMEMBERED_MAX) this.#toldAtMs.clear();
    this.#toldAtMs.set(key, nowMs);
    return true;
  }

  ended(link: Link, ending: Ending, isNews: boolean, nowMs: number): void {
    const message =
      ending.code === REFUSE_CLOCK ? clockSentence(link, ending, this.#clockAt(nowMs)) : sentence(link, ending);
    const fields = { code: ending.code, role: link.role };
    const key = `${ending.code} ${ending.by} ${link.remoteHost} ${link.peerId ?? ''}`;
    if (quiet.has(ending.code) || !isNews || (!this.#isFresh(key, nowMs) && ending.by !== 'network')) {
      this.#log.debug(message, fields);
      return;
    }
    if (grave.has(ending.code)) this.#log.error(message, fields);
    else if (ending.by === 'network' || ending.code === REFUSE_STOPPING) this.#log.info(message, fields);
    else this.#log.warn(message, fields);
  }
}

function nameOf({ peerId, remoteHost }: Link): string {
  return peerId === null ? `peer at ${remoteHost}` : `node ${peerId} at ${remoteHost}`;
}

/** Of two clocks that differ, the one that most nodes differ from is to be looked at. */
function clockSentence(
  link: Link,
  { by, message }: Ending,
  { aheadMs, isRefused, isBehind, peers }: ClockStanding,
): string {
  const peer = nameOf(link);
  if (by === 'here') {
    const seconds = Math.round(-aheadMs / 1000);
    const hint = `; this node's clock is ${seconds} s behind most of its peers': check the time service here`;
    return `refused ${peer}: ${message}${isBehind ? hint : ''}`;
  }
  const isThere = !isRefused && peers > 1;
  const whose = isThere
    ? ', whose clock most other peers agree with: check the time service there'
    : ', whose clock is ahead of it: check the time service here';
  return `${peer} refuses this node${whose} (${message})`;
}

function sentence(link: Link, ending: Ending): string {
  const peer = nameOf(link);
  if (ending.by === 'network' && link.role === 'dial' && link.hello === null)
    return `no link to ${peer}: ${ending.message}${hintOf(link)}`;
  if (ending.by === 'network') return `link to ${peer} lost: ${ending.message}`;
  if (ending.by === 'here') return `refused ${peer}: ${ending.message}`;
  return `${peer} refused this node: ${ending.message}`;
}

/** Who was heard and closed without a word may want TLS, or none. */
function hintOf({ bytesOut }: Link): string {
  return bytesOut > 0 ? ' before it said anything; is peer-tls the same on both sides?' : '';
}
