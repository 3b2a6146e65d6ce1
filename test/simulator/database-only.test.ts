/** A member writes while it is cut off, and is gone for good: only the database, which all share, has what it wrote. */
import { expect, it } from '@jest/globals';
import { runSimulator } from './simulator-process.ts';

it('what only the database has of a member that is gone, the others show once one of them starts again', async () => {
  const schedule = ['--seed', '1382', '--operations', '400', '--keep', '46,56,58'];
  const { exitCode, output } = await runSimulator(...schedule, '--trace');
  expect({ exitCode, output }).toMatchObject({ exitCode: 0 });
  expect(output).toMatch(/is to read what only the database has/);
}, 120_000);

it.each([
  ['11031', '26,66'],
  ['19426', '60,62'],
])(
  'what lapsed before the others had it whole does not come back from the database: seed %s',
  async (seed, events) => {
    const { exitCode, output } = await runSimulator('--seed', seed, '--operations', '400', '--keep', events);
    expect({ exitCode, output }).toMatchObject({ exitCode: 0 });
  },
  120_000,
);
