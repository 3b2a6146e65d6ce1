/** fast-check with the seed of this run: see seed.ts. */
import fc from 'fast-check';
import { testSeed } from './seed.ts';

// fast-check wants a signed seed.
fc.configureGlobal({ seed: testSeed() | 0 });

export default fc;
