/**
 * Imported before all else: V8's space for new objects does not grow while the program is loaded. `ProcessMemory` lets it, as far as
 * `maxmemory` has room for it.
 */
import { setFlagsFromString } from 'node:v8';

setFlagsFromString('--semi-space-growth-factor=1');
