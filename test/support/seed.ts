/**
 * Randomness that can be replayed. Every generator names its seed; `withSeed` prints the command that runs a failure again.
 */

/** A small fast generator (Bryc's mulberry32): 32 bits of state, enough for choosing test inputs. */
export class SeededRandom {
  readonly seed: number;
  private state: number;

  constructor(seed: number) {
    this.seed = seed >>> 0;
    this.state = this.seed;
  }

  /** An integer from 0 to 2^32 - 1. */
  uint32(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** A number from 0 (included) to 1 (excluded). */
  fraction(): number {
    return this.uint32() / 0x1_0000_0000;
  }

  /** An integer from 0 to `bound` - 1. */
  below(bound: number): number {
    return Math.floor(this.fraction() * bound);
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    if (choices.length === 0) throw new Error('pick: nothing to choose from');
    return choices[this.below(choices.length)];
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let index = 0; index < length; index++) bytes[index] = this.uint32() & 0xff;
    return bytes;
  }

  shuffle<T>(items: readonly T[]): T[] {
    const shuffled = [...items];
    for (let index = shuffled.length - 1; index > 0; index--) {
      const other = this.below(index + 1);
      [shuffled[index], shuffled[other]] = [shuffled[other], shuffled[index]];
    }
    return shuffled;
  }
}

/** What `npm test` draws from, so that it says the same of the same commit each time; `npm run explore` looks elsewhere. */
const SEED_OF_EVERY_RUN = 20_261_123;

/** The seed of this run: MANTIS_TEST_SEED when it is set. */
export function testSeed(): number {
  const given = process.env['MANTIS_TEST_SEED'];
  return given === undefined ? SEED_OF_EVERY_RUN : Number(given) >>> 0;
}

/**
 * Runs a body with a seeded generator, and says how to run it again when it fails.
 * @param testFile the test's path from the repository's root, for the command that is printed
 */
export async function withSeed<T>(
  testFile: string,
  body: (random: SeededRandom) => T | Promise<T>,
  seed = testSeed(),
): Promise<T> {
  try {
    return await body(new SeededRandom(seed));
  } catch (error) {
    process.stderr.write(`replay with: ${replayCommand(testFile, seed)}\n`);
    throw error;
  }
}

export function replayCommand(testFile: string, seed: number): string {
  return `MANTIS_TEST_SEED=${seed} npm test -- ${testFile}`;
}
