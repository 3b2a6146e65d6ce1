/** The seeds that every `npm test` runs. */
interface SeedRange {
  from: number;
  count: number;
}

export const firstSeeds: SeedRange = { from: 1, count: 150 };
export const secondSeeds: SeedRange = { from: 151, count: 150 };
/** About a minute of a quiet core; a busy machine may take many times as long. */
export const seedsDeadlineMs = 900_000;
const operations = 400;

export function seedOptions({ from, count }: SeedRange): string[] {
  return ['--seed', `${from}`, '--seeds', `${count}`, '--operations', `${operations}`];
}
