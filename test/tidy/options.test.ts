/** An option that is said to do something is read by somebody: otherwise it answers OK, and changes nothing. */
import { globSync, readFileSync } from 'node:fs';
import { expect, it } from '@jest/globals';
import { allOptions } from '../../server/config/option-table.ts';

/** Taken from an object's fields under its own name, or by its name in quotes. */
function isRead(name: string, text: string): boolean {
  if (text.includes(`'${name}'`)) return true;
  return new RegExp(`values\\??\\.${name}\\b|\\{[^{}]*\\b${name}\\b[^{}]*\\} = [\\w.#]*values\\b`).test(text);
}

const paths = globSync('{server,replication,storage}/**/*.ts').filter(
  (path) => !path.startsWith('server/config/options/'),
);
const sources = paths.map((path) => readFileSync(path, 'utf8')).join('\n');

it.each(allOptions.filter(({ definition }) => definition.effective).map(({ name }) => name))('%s is read', (name) => {
  expect(isRead(name, sources)).toBe(true);
});

it('notices one that is not', () => {
  expect(isRead('tls-hush', sources)).toBe(false);
  expect(isRead('hush', sources)).toBe(false);
});
