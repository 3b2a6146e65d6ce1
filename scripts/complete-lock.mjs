/**
 * Adds the platform builds that npm left out to package-lock.json, so that `npm ci` accepts it everywhere.
 *
 * npm leaves an optional platform package (`@swc/core-darwin-arm64`, …) out of the lock when the registry in use does not
 * carry it, and `npm ci` then refuses that very lock. The entries added here say only what the parent package pins: the
 * version, and the system that the name spells. Run it after every `npm install` that changed the lock: `npm run lock`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rootDirectory } from './tools.mjs';

const systems = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'];
const processors = ['arm', 'arm64', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64'];

/** Where node would find `name` from the package at `from`, or undefined when the lock has no such entry. */
function locate(packages, from, name) {
  for (let folder = from; ;) {
    const candidate = `${folder === '' ? '' : `${folder}/`}node_modules/${name}`;
    if (packages[candidate]) return candidate;
    if (folder === '') return undefined;
    const parent = folder.lastIndexOf('node_modules/');
    folder = parent <= 0 ? '' : folder.slice(0, parent - 1);
  }
}

function platformEntry(name, version, dev) {
  const words = name.split(/[/-]/);
  const system = words.find((word) => systems.includes(word));
  const processor = words.find((word) => processors.includes(word));
  if (!system || !processor || !/^\d+\.\d+\.\d+/.test(version)) return undefined;
  const libc = words.some((word) => word.startsWith('musl')) ? 'musl' : 'glibc';
  return {
    version,
    cpu: [processor],
    ...(dev ? { dev: true } : {}),
    ...(system === 'linux' ? { libc: [libc] } : {}),
    optional: true,
    os: [system],
  };
}

const lockPath = join(rootDirectory, 'package-lock.json');
const lock = JSON.parse(readFileSync(lockPath, 'utf8'));
let added = 0;
for (const [from, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (locate(lock.packages, from, name)) continue;
    const platform = platformEntry(name, version, entry.dev === true);
    if (!platform) {
      console.error(
        `complete-lock: ${name}@${version} (optional, of ${from}) is not in the lock and names no platform.`,
      );
      process.exitCode = 1;
      continue;
    }
    lock.packages[`node_modules/${name}`] = platform;
    added++;
  }
}
const { '': project, ...others } = lock.packages;
const sorted = Object.fromEntries(Object.entries(others).sort(([a], [b]) => a.localeCompare(b, 'en')));
lock.packages = { '': project, ...sorted };
if (added > 0) writeFileSync(lockPath, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`complete-lock: ${added} platform entries added.`);
