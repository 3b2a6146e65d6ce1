/** Resynchronising: a pass over this node's keys that deletes what the other node lacks, as far as the rule of the repair allows. */
import type { KeySelection, ReplicaScan, TakeRule, Taking, Replica } from '../replica.ts';

/** What a repair in which this node resynchronises goes by. */
export interface Take {
  readonly rule: TakeRule;
  readonly taking: Taking;
}

export class Forsaking {
  #scan: ReplicaScan | null;
  readonly #selection: KeySelection;
  readonly #rule: TakeRule;

  constructor(replica: Replica, selection: KeySelection, rule: TakeRule) {
    this.#scan = replica.startScan();
    this.#selection = selection;
    this.#rule = rule;
  }

  /** Does one slice. @returns true while there is more */
  step(): boolean {
    if (this.#scan === null) return false;
    const more = this.#scan.forsake(this.#selection, this.#rule);
    if (!more) this.close();
    return more;
  }

  close(): void {
    this.#scan?.close();
    this.#scan = null;
  }
}
