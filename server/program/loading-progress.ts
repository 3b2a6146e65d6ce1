/** The line that says how far loading is, once it takes longer than a second. */
import type { Loading } from '../node.ts';

const QUIET_MS = 1000;
const EVERY_MS = 200;

export class LoadingProgress {
  readonly #out: NodeJS.WriteStream;
  #shownAtMs = 0;
  #shown = false;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  show(loading: Loading, nowMs: number): void {
    const elapsedMs = nowMs - loading.startedAtMs;
    if (elapsedMs < QUIET_MS || nowMs - this.#shownAtMs < (this.#out.isTTY ? EVERY_MS : QUIET_MS)) return;
    this.#shownAtMs = nowMs;
    this.#shown = true;
    const perSecond = Math.round(loading.done / (elapsedMs / 1000));
    const known = loading.total > 0;
    const percent = known ? ` of ${loading.total} (${Math.floor((100 * loading.done) / loading.total)} %)` : '';
    const leftS = known && perSecond > 0 ? `, ${Math.ceil((loading.total - loading.done) / perSecond)} s left` : '';
    const line = `loading: ${loading.done}${percent} registers, ${perSecond} a second${leftS}`;
    this.#out.write(this.#out.isTTY ? `\r\x1b[K${line}` : `${line}\n`);
  }

  end(): void {
    if (this.#shown && this.#out.isTTY) this.#out.write('\n');
  }
}
