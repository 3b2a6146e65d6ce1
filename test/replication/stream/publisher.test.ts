import { describe, expect, it } from '@jest/globals';
import { Publisher } from '../../../replication/stream/publisher.ts';

describe('messages on their way to a peer', () => {
  it('wait for the changes that were made before them', () => {
    const publisher = new Publisher({ outboxBytesMax: 100 });
    const [first, second] = [Buffer.from('first'), Buffer.from('second')];
    publisher.push(first, 3);
    publisher.push(second, 5);
    expect(publisher.next(-1)).toBeNull();
    expect(publisher.next(2)).toBeNull();
    expect(publisher.next(4)).toBe(first);
    expect(publisher.next(4)).toBeNull();
    expect(publisher.next(5)).toBe(second);
    expect(publisher.next(5)).toBeNull();
  });

  it('are dropped when the peer does not take them, and only then', () => {
    const publisher = new Publisher({ outboxBytesMax: 100 });
    for (let at = 0; at < 5; at++) publisher.push(Buffer.alloc(40), 0);
    expect(publisher.dropped).toBe(3);
    expect(publisher.next(0)?.length).toBe(40);
    publisher.push(Buffer.alloc(40), 0);
    expect(publisher.dropped).toBe(3);
  });
});
