/** The version of the package that this file is part of, built or not. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

function findVersion(): string {
  let folder = import.meta.dirname;
  for (;;) {
    const path = join(folder, 'package.json');
    if (existsSync(path)) {
      const parsed: unknown = JSON.parse(readFileSync(path, 'utf8'));
      if (typeof parsed === 'object' && parsed !== null && 'version' in parsed) return String(parsed.version);
    }
    const parent = dirname(folder);
    if (parent === folder) return '0.0.0';
    folder = parent;
  }
}

/** Mantis's own version, such as `0.1.0`. */
export const mantisVersion: string = findVersion();
