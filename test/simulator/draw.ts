/** Choices from a seeded generator. */
import { SeededRandom } from '../replication/virtual-world.ts';

export class Draw extends SeededRandom {
  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  between(least: number, most: number): number {
    return least + this.fraction() * (most - least);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)];
  }

  /** Some of the choices, in their order. */
  some<T>(choices: readonly T[], count: number): T[] {
    const left = [...choices.keys()];
    const taken = new Set<number>();
    while (taken.size < Math.min(count, choices.length)) taken.add(left.splice(this.below(left.length), 1)[0]);
    return choices.filter((_choice, index) => taken.has(index));
  }

  uint32(): number {
    return this.below(2 ** 32);
  }
}
