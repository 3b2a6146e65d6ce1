import { expect, it } from '@jest/globals';
import { Config } from '../../../server/config/config.ts';
import type { Session } from '../../../server/clients/session.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { ClientMemory } from '../../../server/clients/client-memory.ts';

class CountedSessions extends Map<number, Session> {
  looks = 0;

  override values(): MapIterator<Session> {
    this.looks++;
    return super.values();
  }
}

it('looks at all clients no oftener than every 10 ms, however many small pieces come', () => {
  let nowMs = 1000;
  const { node, client } = new CommandHarness([]);
  const sessions = new CountedSessions([[1, client.session]]);
  const config = Config.fromSources({ settings: { 'maxmemory-clients': '1mb' } });
  const memory = new ClientMemory({ ...node, config, sessions, monotonicMs: () => nowMs });
  for (let piece = 0; piece < 1000; piece++) expect(memory.isOverQueryLimit(client.session, 1)).toBe(false);
  expect(sessions.looks).toBe(1);
  nowMs += 10;
  memory.isOverQueryLimit(client.session, 1);
  expect(sessions.looks).toBe(2);
});
