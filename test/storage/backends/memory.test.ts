import { MemoryStore } from '../../../storage/backends/memory.ts';
import { describeBackend } from '../backend-contract.ts';

describeBackend(
  'memory',
  () => {
    const store = new MemoryStore();
    return Promise.resolve({ store, reopen: () => Promise.resolve(store) });
  },
  'test/storage/backends/memory.test.ts',
);
