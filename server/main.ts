#!/usr/bin/env node
/** The mantis program, once the process has its memory from where it is to have it. */
import { settleAllocator } from './allocator.ts';

settleAllocator();
await import('./program.ts');
