/** What a register of a storm may be found to be. */
import { expect, it } from '@jest/globals';
import { Register } from './ledger.ts';

const WINDOW_MS = 100;

it('a write that is certain rules out all before it, but for a crash within the window', () => {
  const register = new Register();
  register.acknowledge('first', 0, WINDOW_MS);
  register.acknowledge('second', 1000, WINDOW_MS);
  expect([register.allows('second'), register.allows('first')]).toEqual([true, false]);
  register.crash();
  expect([register.allows('second'), register.allows('first'), register.allows(null)]).toEqual([true, true, false]);
});

it('where two writes in a row may be lost, what stood before both may be found', () => {
  const register = new Register();
  register.acknowledge('first', 0, WINDOW_MS);
  register.acknowledge('second', 1000, WINDOW_MS);
  register.crash();
  register.acknowledge('third', 2000, WINDOW_MS);
  expect(register.allows('first')).toBe(false);
  register.crash();
  expect(['first', 'second', 'third'].filter((value) => register.allows(value))).toHaveLength(3);
  register.acknowledge('fourth', 3000, 0);
  expect(register.isCertain).toBe(true);
});
