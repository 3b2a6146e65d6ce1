/**
 * Plants faults in sources while they are loaded. A module imported with `?fault=name` is loaded with that fault, and so is all
 * that it imports, but for the reference replica: one process can look for many faults, one after the other.
 */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import { join, resolve } from 'node:path';
import type { PlantedFault } from './planted-faults.ts';
import type { Simulation } from './simulation.ts';

/** The simulation's module, with a fault or without. */
export interface Simulator {
  readonly Simulation: typeof Simulation;
}

const root = resolve(import.meta.dirname, '../..');
const reference = '/test/simulator/reference.ts';

function filesOf({ file, guard }: PlantedFault): string[] {
  return [...new Set([file, guard?.file ?? file])];
}

/** @throws Error when the text is not there exactly once, so that no fault is silently gone */
function plant(fault: PlantedFault, file: string, source: string): string {
  let planted = source;
  for (const one of fault.guard === null ? [fault] : [fault, fault.guard]) {
    if ((one.file ?? fault.file) !== file) continue;
    const parts = planted.split(one.find);
    const { replace } = one;
    if (parts.length !== 2)
      throw new Error(`the planted fault ${fault.name} finds its text ${parts.length - 1} times in ${file}`);
    planted = parts.join(replace);
  }
  return planted;
}

/** Says which faults no longer find their text. */
export function unplantable(faults: readonly PlantedFault[]): string[] {
  return faults.flatMap((fault) => {
    try {
      for (const file of filesOf(fault)) plant(fault, file, readFileSync(join(root, file), 'utf8'));
      return [];
    } catch (error) {
      return [(error as Error).message];
    }
  });
}

/** From now on `?fault=` is understood. */
export function preparePlanting(faults: readonly PlantedFault[]): void {
  const byName = new Map(faults.map((fault) => [fault.name, fault]));
  registerHooks({
    resolve(specifier, context, nextResolve) {
      const resolved = nextResolve(specifier, context);
      const name = new URL(context.parentURL ?? 'file:///').searchParams.get('fault');
      const isOurs = resolved.url.startsWith('file:') && !resolved.url.includes('/node_modules/');
      if (name === null || !isOurs || resolved.url.endsWith(reference)) return resolved;
      return { ...resolved, url: `${resolved.url}?fault=${name}` };
    },
    load(url, context, nextLoad) {
      const name = url.startsWith('file:') ? new URL(url).searchParams.get('fault') : null;
      const loaded = nextLoad(url, context);
      const fault = name === null ? undefined : byName.get(name);
      const path = fileURLToPath(url.split('?')[0]);
      const file = fault && filesOf(fault).find((one) => join(root, one) === path);
      if (fault === undefined || file === undefined) return loaded;
      const source =
        typeof loaded.source === 'string' ? loaded.source : Buffer.from(loaded.source as Uint8Array).toString();
      return { ...loaded, source: plant(fault, file, source) };
    },
  });
}

/** The simulation's module with a fault in everything that it uses. */
export async function simulationWith(fault: string): Promise<Simulator> {
  const { href } = new URL(`./simulation.ts?fault=${fault}`, import.meta.url);
  return (await import(href)) as Simulator;
}
