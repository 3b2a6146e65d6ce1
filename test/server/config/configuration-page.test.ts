import { readFileSync } from 'node:fs';
import { expect, it } from '@jest/globals';
import { render } from '../../../server/docs/configuration-page.ts';
import { allOptions } from '../../../server/config/option-table.ts';

it('docs/configuration.md is what the option table says', () => {
  expect(readFileSync('docs/configuration.md', 'utf8')).toBe(render());
});

it('every option that is not hidden is on the page', () => {
  const page = render();
  for (const { name, definition } of allOptions)
    expect([name, page.includes(`| \`${name}\` |`)]).toEqual([name, !definition.hidden]);
});
