import { MemoryStore } from './memory-store.ts';
import { describeBackend } from './backend-contract.ts';

describeBackend(
  'memory',
  () => {
    const store = new MemoryStore();
    return Promise.resolve({ store, reopen: () => Promise.resolve(store) });
  },
  'test/storage/memory-store.test.ts',
);
