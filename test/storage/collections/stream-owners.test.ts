/** The consumer groups of a node that has been several writers: each crash makes it another. */
import { describe, expect, it } from '@jest/globals';
import { nodeText } from '../../../storage/collections/stream-group.ts';
import { Replica } from './replicas.ts';
import { editStream, type StreamEdit, viewStream } from './stream-edits.ts';

const NODE = 1;

function edit(what: StreamEdit['do'], group = 'g', at = 0): StreamEdit {
  return { do: what, key: 's', at, group, consumer: 'c', value: '1:f,1:v,' };
}

/** What a writer of this node leaves on its disk; `owners` as they were then. */
function writtenBy(writer: number, owners: number[], ...edits: StreamEdit[]): Replica {
  const replica = new Replica(writer, () => writer);
  replica.keyspace.nodes.owners = owners.map((owner) => nodeText(0, owner));
  for (const one of edits) editStream(replica, one);
  return replica;
}

/** The node as its latest writer, with what the earlier ones have left. */
function after(writers: number[], ...left: Replica[]): Replica {
  const replica = writtenBy(writers.at(-1)!, [NODE, ...writers]);
  for (const one of left) replica.apply(one.takeState());
  return replica;
}

function pendingOf(replica: Replica, group = 'g'): number | undefined {
  return viewStream(replica, 's')?.groups[group]?.pending.length;
}

describe('consumer groups', () => {
  it('carry the node id, so that the next writer has them', () => {
    const first = writtenBy(NODE, [NODE], edit('add'), edit('deliver'));
    const second = after([NODE, 2], first);
    expect(pendingOf(second)).toBe(1);
    editStream(second, edit('acknowledge'));
    expect(pendingOf(second)).toBe(0);
    const third = after([NODE, 2, 3], first, second);
    expect(pendingOf(third)).toBe(0);
    editStream(third, edit('dropGroup'));
    expect(viewStream(third, 's')?.groups).toEqual({});
  });

  it('that an earlier release has kept under a writer are shown, and written under it', () => {
    const old = writtenBy(2, [2], edit('add'), edit('deliver'));
    const now = after([NODE, 2, 3], old);
    expect(pendingOf(now)).toBe(1);
    editStream(now, edit('acknowledge'));
    expect(pendingOf(now)).toBe(0);
    expect(pendingOf(after([NODE, 2, 3, 4], old, now))).toBe(0);
  });

  it('of several writers: that of the last one is shown, and all of them go with it', () => {
    const first = writtenBy(NODE, [NODE], edit('add'), edit('group'));
    const second = writtenBy(2, [2], edit('add'), edit('deliver'));
    const now = after([NODE, 2, 3], second, first);
    expect(pendingOf(now)).toBe(1);
    editStream(now, edit('dropGroup'));
    expect(viewStream(now, 's')?.groups).toEqual({});
    expect(viewStream(after([NODE, 2, 3, 4], first, second, now), 's')?.groups).toEqual({});
  });

  it('of other nodes are not shown', () => {
    const other = writtenBy(9, [9], edit('add'), edit('deliver'));
    expect(viewStream(after([NODE, 2], other), 's')?.groups).toEqual({});
  });
});
