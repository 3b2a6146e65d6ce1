import { readdirSync, readFileSync } from 'node:fs';
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

it('every option that is said to do something is read somewhere', () => {
  const names = ['server', 'replication', 'storage'].flatMap((room) =>
    readdirSync(room, { recursive: true, encoding: 'utf8' }).map((name) => `${room}/${name}`),
  );
  const sources = names.filter((name) => name.endsWith('.ts') && !name.startsWith('server/config/options/'));
  const text = sources.map((name) => readFileSync(name, 'utf8')).join('\n');
  const effective = allOptions.filter(({ definition }) => definition.effective).map(({ name }) => name);
  const isRead = (name: string): boolean => text.includes(`'${name}'`) || text.includes(`values.${name}`);
  expect(effective.filter((name) => !isRead(name))).toEqual([]);
});
