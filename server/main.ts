#!/usr/bin/env node
/** Where the mantis program begins: malloc gets its settings (allocator.ts) before anything else is loaded. */
import { settleAllocator } from './program/allocator.ts';

settleAllocator();
await import('./program/program.ts');
