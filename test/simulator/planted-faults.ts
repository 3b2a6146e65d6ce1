/**
 * Faults that are planted in the sources of the product while they are loaded, one at a time, to show that the simulator would
 * find such a mistake. Each replaces one piece of text of one file, which must be there exactly once.
 */

export interface Replacement {
  readonly find: string;
  readonly replace: string;
}

export interface Guard extends Replacement {
  readonly file?: string;
}

export interface PlantedFault extends Replacement {
  readonly name: string;
  readonly file: string;
  /** What would guard against it otherwise, in the same file unless it names another: taken away, too. */
  readonly guard: Guard | null;
  /** A seed that finds it, with `plantedOperations` requests; 0 while none is recorded. */
  readonly seed: number;
}

/** Requests a seed, where planted faults are looked for. */
export const plantedOperations = 400;

const fault = (
  name: string,
  seed: number,
  file: string,
  find: string,
  replace: string,
  guard: Guard | null = null,
): PlantedFault => ({ name, seed, file, find, replace, guard });

export const plantedFaults: readonly PlantedFault[] = [
  // Clocks and stamps.
  fault(
    'skip-clock-merge',
    2,
    'storage/clock.ts',
    'if (compareStamp(hi, lo, this.hi, this.lo) > 0) {',
    'if (hi === -1) {',
  ),
  fault(
    'stamps-compared-as-signed',
    1,
    'protocol/stamp.ts',
    'if (aLo !== bLo) return aLo < bLo ? -1 : 1;',
    'if (aLo !== bLo) return (aLo | 0) < (bLo | 0) ? -1 : 1;',
  ),
  fault('low-half-of-stamps-ignored', 1, 'protocol/stamp.ts', 'if (aLo !== bLo) return aLo < bLo ? -1 : 1;', ''),
  fault('stamps-used-twice', 2, 'storage/clock.ts', '      this.lo += 1;', ''),
  fault(
    'tie-break-lost',
    1,
    'storage/arena/node-table.ts',
    'return this.hi[a] - this.hi[b] || this.lo[a] - this.lo[b];',
    'return 0;',
  ),
  fault(
    'tie-break-by-order-of-arrival',
    1,
    'storage/arena/node-table.ts',
    'return this.hi[a] - this.hi[b] || this.lo[a] - this.lo[b];',
    'return a - b;',
  ),
  // Merging.
  fault(
    'deadline-stamp-forgotten',
    8,
    'storage/merging/merge.ts',
    'if (deadline !== 0 || !hasDeadline) return deadline;',
    'return 0;',
  ),
  fault(
    'floor-not-sent',
    1,
    'storage/changes/outflow.ts',
    '      last = writer.length;\n      encodeFloor(keyspace, database, writer);',
    '      last = writer.length;',
  ),
  fault(
    'sum-counted-twice',
    1,
    'storage/merging/merge.ts',
    '  if (at >= 0) {\n    const ours = state.entries[at];',
    '  if (at >= 0 && state.entries[at].sum.length < 2) {\n    const ours = state.entries[at];',
  ),
  fault(
    'sums-outlive-a-set',
    1,
    'storage/types/counter.ts',
    'state.entries = state.entries.filter((entry) => begunAfter(keyspace, entry, hi, lo, origin));',
    '',
  ),
  fault(
    'older-element-wins',
    2,
    'storage/collections/element-merge.ts',
    '  if (order !== 0) return order;\n  elements.readDeadline(ref);',
    '  if (order !== 0) return 1;\n  elements.readDeadline(ref);',
  ),
  fault(
    'add-loses-to-its-removal',
    1,
    'storage/collections/element-merge.ts',
    '(record.flags & FLAG_DEAD) - ((elements.flagsOf(ref) & ELEMENT_DEAD) !== 0 ? FLAG_DEAD : 0);\n  if',
    '0;\n  if',
  ),
  fault(
    'any-type-wins-a-key',
    32,
    'storage/collections/merge.ts',
    '  if (order > 0) shadowElements(keyspace, database, collection, hi, lo, origin);\n  else killUpTo(keyspace, collection, hi, lo, origin);\n  return order > 0;',
    '  shadowElements(keyspace, database, collection, hi, lo, origin);\n  return true;',
  ),
  // Digests and repair.
  fault(
    'digest-without-deadline',
    10,
    'storage/digests/digests.ts',
    'if (deadlineStampHi !== 0) {',
    'if (deadlineStampHi === -1) {',
  ),
  fault(
    'digest-not-kept-at-expiry',
    1,
    'storage/keyspace.ts',
    '      this.drop(database, hash, ref);\n      return;\n    }\n    if (this.digesting) this.toggleDigest(database, ref);',
    '      this.drop(database, hash, ref);\n      return;\n    }',
  ),
  fault(
    'repair-covers-before-it-is-done',
    17,
    'replication/repair/repair-responder.ts',
    "    this.#phase = 'plan';\n  }\n\n  #receivePlan",
    "    this.#phase = 'plan';\n    this.#context.covered(this.#peerCover);\n  }\n\n  #receivePlan",
  ),
  fault(
    'repair-ignores-what-is-wanted',
    4,
    'replication/repair/repair-leader.ts',
    'if (this.#wanted.size > 0) for (const bucket of round.compare) buckets[bucket] = listedKeys;',
    '',
  ),
  fault(
    'repair-wants-nothing',
    4,
    'replication/repair/repair-responder.ts',
    '    if (wordCount === 0) return null;',
    '    if (wordCount >= 0) return null;',
  ),
  fault(
    'repair-skips-bare-buckets',
    4,
    'replication/repair/repair-leader.ts',
    '(isPeerBare && !isBare ? exchange : this.#remaining).push(bucket);',
    'if (!isBare && !isPeerBare) this.#remaining.push(bucket);',
  ),
  fault(
    'gaps-are-not-repaired',
    9,
    'replication/stream/progress.ts',
    '    if (atMost(previous, this.#applied)) {',
    '    if (previous.hi >= 0) {',
  ),
  // Repair below the key.
  fault(
    'cells-that-differ-taken-for-equal',
    18,
    'replication/repair/element-asker.ts',
    'words[cell * 2 + 1] !== lo) differing[cell] = 1;',
    'words[cell * 2 + 1] !== lo) differing[cell] = 0;',
  ),
  fault(
    'picked-cells-not-given',
    18,
    'replication/repair/element-answerer.ts',
    'cells: isAll ? null : decodePick(buffer, start, end, bits) };',
    'cells: isAll ? null : new Uint8Array(2 ** bits) };',
  ),
  fault(
    'ranges-that-differ-not-told',
    18,
    'replication/repair/element-answerer.ts',
    '|| own[range * 2 + 1] !== ranges[range * 2 + 1]) differing.push(range);',
    '|| own[range * 2 + 1] !== ranges[range * 2 + 1]) differing.length = 0;',
  ),
  fault(
    'cells-without-their-tombstones',
    18,
    'storage/digests/element-cells.ts',
    '      elements.readName(element);\n',
    '      if (!elements.isVisible(element)) return false;\n      elements.readName(element);\n',
  ),
  // Streams.
  fault(
    'resumed-from-the-tail',
    9,
    'replication/stream/progress.ts',
    '    return this.#applied;\n  }\n\n  /** True while',
    '    return this.#tail?.to ?? this.#applied;\n  }\n\n  /** True while',
  ),
  fault(
    'start-of-a-stream-taken-for-all-before-it',
    9,
    'replication/stream/stream.ts',
    'if (!position.flag) this.progress.startAt(position);',
    'this.progress.cover(position);',
  ),
  fault(
    'collection-made-anew-keeps-what-lapsed',
    56,
    'storage/collections/merge.ts',
    'if (order > 0 && isLapsed(keyspace, ref)) {',
    'if (false) {',
  ),
  fault('floor-of-what-lapsed-not-brought', 56, 'storage/collections/merge.ts', 'keyspace.relaying = false;', ''),
  fault(
    'buried-under-a-deadline-ahead',
    50,
    'storage/collections/local.ts',
    'if (deadlineMs > keyspace.clock.nowMs) return;',
    '',
  ),
  fault(
    'position-of-an-earlier-run-kept',
    9,
    'replication/membership/membership.ts',
    '      member.progress = new StreamProgress();\n      member.acknowledged = none;',
    '',
  ),
  fault(
    'acknowledgements-of-an-earlier-run-kept',
    11,
    'replication/membership/membership.ts',
    '      member.acknowledged = none;\n      member.complete',
    '      member.complete',
  ),
  fault(
    'every-member-counts-as-acknowledging',
    1,
    'replication/membership/membership.ts',
    'if (compareStamp(acknowledged.hi, acknowledged.lo, stamp.hi, stamp.lo) >= 0) count++;',
    'if (acknowledged.hi >= 0) count++;',
  ),
  fault(
    'second-database-not-sent',
    1,
    'storage/changes/outflow.ts',
    '    const ring = database.feedRing;',
    '    if (database.number > 0) break;\n    const ring = database.feedRing;',
  ),
  fault(
    'tombstones-dropped-early',
    18,
    'replication/membership/standing.ts',
    'const everywhere = earlier(stable, compared ?? none);',
    'const everywhere = this.merged();',
  ),
  fault(
    'settled-before-it-is-brought',
    25,
    'replication/membership/standing.ts',
    'return earlier(this.held(), this.brought());',
    'return this.held();',
  ),
  fault(
    'held-in-hello-taken-for-settled',
    57,
    'replication/membership/membership.ts',
    'lesser(member.settled, member.complete)',
    'lesser(member.held, member.complete)',
  ),
  fault(
    'beyond-the-horizon-dropped-uncompared',
    188,
    'replication/membership/standing.ts',
    'earlier(compared ?? old, this.#membership.leastHeard() ?? old)',
    'this.#membership.leastHeard() ?? old',
    { file: 'replication/repair/link-repair.ts', find: 'if (!this.isDue && nowMs', replace: 'if (nowMs < 0 && nowMs' },
  ),
  fault(
    'beyond-the-horizon-dropped-unbrought',
    93,
    'replication/membership/standing.ts',
    'this.#membership.leastBrought() ?? old',
    'old',
  ),
  fault(
    'expired-keys-dropped-early',
    174,
    'server/runtime/housekeeping.ts',
    "const driftMs = (replicator?.stableStamp() ?? null) === null ? 0 : config.values['max-clock-drift'];",
    'const driftMs = 0;',
  ),
  fault(
    'expired-keys-dropped-unseen',
    9,
    'server/runtime/housekeeping.ts',
    'this.#reaper.step(reapedStamp, reapedStamp, nowMs - driftMs);',
    'this.#reaper.step(reapedStamp, this.#runtime.keyspace.clock, nowMs - driftMs);',
  ),
  fault(
    'comparisons-not-asked-for',
    286,
    'replication/membership/standing.ts',
    'const everywhere = earlier(stable, compared ?? none);',
    'const everywhere = stable;',
  ),
  fault(
    'sums-left-in-the-store',
    66,
    'storage/backends/outlived.ts',
    'if (by.element !== null) return isSumOf(record, by, by.element) && isUpTo(bornAt(record), by);',
    'if (by.element !== null) return false;',
  ),
  fault(
    'outlived-left-in-the-store',
    7,
    'storage/flush/flush-engine.ts',
    '    await this.outlived(going, (records) => this.removeExactly(records));',
    '',
  ),
  fault(
    'outlived-left-in-the-database',
    53,
    'storage/flush/flush-engine.ts',
    'if (this.#mysql === null || asked.length === 0) return NO_KEYS;',
    'if (this.#level !== null || this.#mysql === null) return NO_KEYS;',
  ),
  fault(
    'tombstone-without-the-add',
    3,
    'storage/collections/local.ts',
    '  let hi = elements.stampHiOf(ref);\n',
    '  let hi = elements.stampHiOf(ref) - 1;\n',
  ),
  // Scripts and transactions.
  fault(
    'script-published-in-pieces',
    27,
    'server/scripts/script-commands.ts',
    '    command.calls++;\n    node.statistics',
    '    node.publish();\n    command.calls++;\n    node.statistics',
  ),
  fault(
    'script-answered-before-the-commit',
    27,
    'server/scripts/scripting.ts',
    '    const failure = this.#evaluate(order.text, call, firstKey, keyCount, this.#limitMs);\n',
    '    const { changes } = this.#node.keyspace;\n' +
      '    const failure = this.#evaluate(order.text, call, firstKey, keyCount, this.#limitMs);\n' +
      '    this.#node.keyspace.changes = changes;\n',
  ),
  fault(
    'transaction-published-in-pieces',
    3,
    'server/dispatch/dispatcher.ts',
    '      queued.load(index, call);\n',
    '      queued.load(index, call);\n      this.#node.publish();\n',
  ),
  // Stores.
  fault(
    'answered-before-the-commit',
    1,
    'server/persistence/commit-gate.ts',
    '        await this.#commit();',
    '        void this.#commit();',
  ),
  fault(
    'answered-before-the-journal-is-synced',
    4,
    'storage/journal/journal.ts',
    '      await this.#open.file.append(frame);',
    '      void this.#open.file.append(frame);',
  ),
  fault(
    'journal-removed-before-the-flush',
    154,
    'server/persistence/commits.ts',
    'this.#node.flusher?.isClean === true && ',
    '',
  ),
  fault(
    'batches-not-synced',
    23,
    'storage/backends/level.ts',
    '      await batch.write({ sync: true });\n      if (generation',
    '      await batch.write();\n      if (generation',
  ),
  fault(
    'rows-overwrite-newer-registers',
    81,
    'storage/flush/level-engine.ts',
    'if (!isEmpty) return this.#store.writeNewer(records);',
    'if (!isEmpty && this.#slices.length > 0) return this.#store.writeNewer(records);',
  ),
  fault(
    'writer-used-again-after-a-crash',
    11,
    'server/persistence/identity.ts',
    "  if (kept !== '') await facts?.set(WRITER_ID, Buffer.alloc(0));",
    '',
  ),
  fault(
    'writer-of-the-node-used-again',
    11,
    'server/persistence/identity.ts',
    'writer: writer ?? drawId(random)',
    'writer: node',
  ),
  fault(
    'drained-before-the-database-has-it',
    13,
    'storage/flush/mysql-drainer.ts',
    '    if (left === 0) return;\n',
    '    if (left >= 0) return;\n',
  ),
  fault(
    'failed-rows-taken-for-written',
    196,
    'storage/flush/mysql-drainer.ts',
    '        if (this.#closing.signal.aborted) return null;\n        this.noteFailure(error);\n      }\n      await',
    '        if (this.#closing.signal.aborted) return null;\n        this.noteFailure(error);\n        return [];\n      }\n      await',
  ),
  fault(
    'flush-forgets-while-one-is-under-way',
    13,
    'storage/flush/flusher.ts',
    '    await this.#inFlight.all();\n    if (this.#failure !== null) throw this.#failure;',
    '    if (this.#failure !== null) throw this.#failure;',
  ),
  fault(
    'digest-without-low-stamps',
    1,
    'storage/digests/digests.ts',
    'mix(mix(mix(mix(keyHi, kindAndElement), stampHi), stampLo), originLo);',
    'mix(mix(mix(keyHi, kindAndElement), stampHi), originLo);',
  ),
  // Turns that are merged in steps.
  fault(
    'put-aside-under-a-floor',
    19,
    'storage/merging/long-turn.ts',
    '  if (vacant.isUnderFloor(leastHi, leastLo, leastOrigin)) return false;\n',
    '',
  ),
  fault(
    'put-aside-over-what-is-there',
    4,
    'storage/merging/long-turn.ts',
    '!== (OBJECT | HIDDEN)) return false;\n  const vacant = keyspace.collectionAt(ref);\n  if (vacant.type !== collection.type || !isVacant(keyspace, vacant)) return false;',
    '=== 0) return false;\n  const vacant = keyspace.collectionAt(ref);\n  if (vacant.type !== collection.type) return false;',
  ),
  fault(
    'put-aside-and-not-stored',
    114,
    'storage/merging/long-turn.ts',
    '  endChange(keyspace, collection, false);\n',
    '',
  ),
  // Mistakes that the simulator has found in earlier states of the product.
  fault(
    'clock-bound-carried-ahead',
    42,
    'server/persistence/clock-bound.ts',
    'stampedMs + AHEAD_OF_STAMPS_MS)',
    'stampedMs + AHEAD_OF_CLOCK_MS)',
  ),
  fault(
    'settled-for-later-waits',
    191,
    'storage/flush/mysql-drainer.ts',
    'if (isFinishing) left += weight;',
    'if (isFinishing) left += 0 * weight;',
  ),
  fault(
    'sums-left-under-a-lapsed-field',
    230,
    'storage/backends/outlived.ts',
    'if (!canHaveSums(kind)) continue;',
    'if (!canHaveSums(kind) || (reader.flags & 1) === 0) continue;',
  ),
  fault(
    'lapsed-collection-forgotten-unheard',
    165,
    'storage/tombstones/reaper.ts',
    'return count === 0 && compareStamp(touchedHi, touchedLo, hi, lo) <= 0;',
    'return count === 0 && ((flags & EXPIRED) !== 0 || compareStamp(touchedHi, touchedLo, hi, lo) <= 0);',
    // It was mended twice: what a node has just heard of, or read, counts as changed, and a deadline has to have been heard of.
    {
      find: 'if ((flags & DEADLINE) !== 0 && compareStamp',
      replace: 'if ((flags & OBJECT) === 0 && (flags & DEADLINE) !== 0 && compareStamp',
    },
  ),
  fault(
    'late-element-not-covered',
    108,
    'storage/collections/merge.ts',
    '      collection.noteStamp(birth.hi, birth.lo, birth.origin);\n      return;',
    '      return;',
    // A node that has the element buries it itself when it hears of the new beginning; alone that is no fault that this seed shows.
    { find: 'if (order > 0 && isLapsed(keyspace, ref)) {', replace: 'if (false) {' },
  ),
  fault(
    'empty-past-its-deadline-not-buried',
    238,
    'storage/collections/local.ts',
    ' || keyspace.isPastDeadline(ref)) buryExpired',
    ') buryExpired',
    { find: 'else if (old.missing !== null && old.isBare)', replace: 'else if (ref < 0)' },
  ),
];
