/** Seeds beyond those of every run that have found something, each with what it was. */
import { expect, it } from '@jest/globals';
import { runSimulator } from './simulator-process.ts';

it.each([
  ['the floor of a list that is made anew while a vacuum takes it out of MySQL', '32', '2000'],
  ['tombstones beyond the horizon, dropped before a member was compared with', '188', '400'],
  ['the same with three nodes', '252', '400'],
  ['a key that lapses where the clock is six seconds ahead, and is made anew', '1556', '400'],
  ['several of them', '1474', '400'],
  ['a script that fails on purpose while a full disk refuses what it calls', '1723', '400'],
  ['what is listed for MySQL once more after a power cut, and was deleted and forgotten since', '2193', '400'],
  ['a collection of which a repair brings the removals, and not the beginning', '2437', '400'],
  ['a field in a list that a node still has to bring to MySQL, where its HELLO has told of more', '3004', '400'],
  ['a hash that lapsed, was brought back by a later deadline, and was made anew without what it had', '3566', '400'],
  ['the deadline of a field that was only counted up, set where the floor of the key was forgotten', '1136', '2000'],
])(
  'holds: %s',
  async (_what, seed, operations) => {
    const { exitCode, output } = await runSimulator('--seed', seed, '--operations', operations);
    expect({ exitCode, output }).toMatchObject({ exitCode: 0 });
  },
  120_000,
);
