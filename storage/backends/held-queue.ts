/**
 * Changes that peers made and bring to MySQL themselves: every node has them in its stores, and holds a list of them until the
 * peer says that MySQL has them. What a peer had not brought when it went away is taken over from that list.
 *
 * The list is in generations. The open one takes what comes; closed ones wait for the peers' word, and there are few of them, so
 * that a register that changes again and again is listed a few times at most, however long the word is awaited.
 */
import type { RefusedRow } from './mysql.ts';
import type { RelayedTurn } from '../flush/relayed-turns.ts';

export interface HeldGeneration {
  generation: number;
  /** Up to where the peers' streams may be in it; null when that is not known (it is of an earlier run). */
  seen: RelayedTurn[] | null;
  /** Milliseconds since it was begun. */
  ageMs: number;
}

export interface HeldBatch {
  /** Packed records, the newest versions. */
  records: Buffer;
  /** Where the next batch begins; null after the last. */
  next: Buffer | null;
}

export interface HeldQueue {
  /** The closed generations, oldest first. Closes the open one, when it has something and few others are closed. */
  heldGenerations(): Promise<HeldGeneration[]>;
  /** What a closed generation lists, from its begin (null) or from where the last batch has ended. */
  readHeld(generation: number, from: Buffer | null): Promise<HeldBatch>;
  /** Forgets a closed generation. Registers that MySQL refused are put aside. */
  releaseHeld(generation: number, refused: RefusedRow[]): Promise<void>;
}

/** Closed generations at a time. */
export const HELD_CLOSED_MAX = 3;

/** Adds to what is seen of each peer's stream. */
export function addSeen(seen: Map<string, string>, turns: readonly RelayedTurn[]): void {
  for (const { incarnation, stamp } of turns) {
    const before = seen.get(incarnation);
    if (before === undefined || before < stamp) seen.set(incarnation, stamp);
  }
}

/** A generation as a queue keeps it. */
export interface KeptGeneration {
  readonly generation: number;
  /** Null when it is of an earlier run. */
  readonly seen: ReadonlyMap<string, string> | null;
  /** Monotonic milliseconds. */
  readonly begunAtMs: number;
}

/** What `heldGenerations` tells of these. */
export function describeGenerations(kept: readonly KeptGeneration[], nowMs: number): HeldGeneration[] {
  return kept.map(({ generation, seen, begunAtMs }) => ({
    generation,
    seen: seen === null ? null : [...seen].map(([incarnation, stamp]) => ({ incarnation, stamp })),
    ageMs: nowMs - begunAtMs,
  }));
}
