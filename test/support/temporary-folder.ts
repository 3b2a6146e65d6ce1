import { afterAll } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folders = new Set<string>();
const stops: (() => Promise<void>)[] = [];

/** A new empty folder, removed when the test file is done. */
export function temporaryFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `mantis-test-${name}-`));
  folders.add(folder);
  return folder;
}

/** Has something ended when the test file is done, before the folders go that it may still write to. */
export function stopAtEnd(stop: () => Promise<void>): void {
  stops.push(stop);
}

afterAll(async () => {
  await Promise.all(stops.map((stop) => stop()));
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  folders.clear();
});
