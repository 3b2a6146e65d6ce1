/** Who waits while what could leave memory is being stored. With a real store: memory-guard.test.ts, integration/read-through.test.ts. */
import { beforeEach, expect, it } from '@jest/globals';
import { clientCommands } from '../../../server/commands/client.ts';
import { connectionCommands } from '../../../server/commands/connection.ts';
import { stringCommands } from '../../../server/commands/strings.ts';
import type { MemoryGuard } from '../../../server/memory/memory-guard.ts';
import { Waits } from '../../../server/waiting/waits.ts';
import { CommandHarness } from '../../support/command-harness.ts';

class Room {
  roomSoon: Promise<void> | null = null;
  give: () => void = () => {};

  /** What could leave memory is still to be stored. */
  lack(): void {
    this.roomSoon = new Promise((resolve) => {
      this.give = () => {
        this.roomSoon = null;
        resolve();
      };
    });
  }
}

let room: Room;
let harness: CommandHarness;
/** Timers that are not cancelled. */
let timers: Set<() => void>;

beforeEach(() => {
  room = new Room();
  timers = new Set();
  harness = new CommandHarness([...clientCommands, ...connectionCommands, ...stringCommands]);
  harness.dispatcher.waits = new Waits(harness.node, room as unknown as MemoryGuard, null, {
    time: {
      setTimer: (_delayMs, callback) => {
        timers.add(callback);
        return { cancel: () => timers.delete(callback) };
      },
    },
    wake: (session) => harness.dispatcher.drained(session),
  });
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('a write waits for room, and a read does not', async () => {
  room.lack();
  expect(harness.client.run('GET', 'k').toString()).toBe('$-1\r\n');
  expect(harness.client.run('SET', 'k', '1').toString()).toBe('');
  room.give();
  await turn();
  expect(harness.client.transport.take().toString()).toBe('+OK\r\n');
  expect(timers.size).toBe(0);
});

it('a read of a client that tracks waits until it can be told of what goes; what has no keys does not', async () => {
  harness.client.session.protocol = 3;
  harness.client.run('CLIENT', 'TRACKING', 'ON');
  room.lack();
  expect(harness.client.run('PING').toString()).toBe('+PONG\r\n');
  expect(harness.client.run('GET', 'k').toString()).toBe('');
  room.give();
  await turn();
  expect(harness.client.transport.take().toString()).toBe('_\r\n');
  expect(timers.size).toBe(0);
});

it('where the stores take long, such a read is answered, and the next does not wait for the same', async () => {
  harness.client.session.protocol = 3;
  harness.client.run('CLIENT', 'TRACKING', 'ON');
  room.lack();
  expect(harness.client.run('GET', 'k').toString()).toBe('');
  for (const timer of timers) timer();
  expect(harness.client.transport.take().toString()).toBe('_\r\n');
  expect(harness.client.run('GET', 'k').toString()).toBe('_\r\n');
  room.give();
  await turn();
  room.lack();
  expect(harness.client.run('GET', 'k').toString()).toBe('');
});
