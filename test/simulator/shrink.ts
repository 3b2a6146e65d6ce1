/** A smaller schedule that still fails: events are left out, in ever smaller portions, as long as something is still wrong. */
import type { Schedule } from './schedule.ts';

/** Numbers as text: 1-4,9,12. */
export function formatNumbers(numbers: readonly number[]): string {
  const parts: string[] = [];
  for (let at = 0; at < numbers.length;) {
    let end = at;
    while (numbers[end + 1] === numbers[end] + 1) end++;
    parts.push(end === at ? `${numbers[at]}` : `${numbers[at]}-${numbers[end]}`);
    at = end + 1;
  }
  return parts.join(',');
}

export function parseNumbers(text: string): number[] {
  return text.split(',').flatMap((part) => {
    const [first, last = first] = part.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_unused, index) => first + index);
  });
}

/** The schedule with only these of its events. */
export function withEvents(schedule: Schedule, kept: readonly number[]): Schedule {
  return { ...schedule, events: kept.map((index) => schedule.events[index]) };
}

/**
 * @param fails whether a schedule fails
 * @param runsMax how many may be tried
 * @returns the numbers of the events that are left
 */
export function shrink(schedule: Schedule, fails: (schedule: Schedule) => boolean, runsMax: number): number[] {
  let kept = [...schedule.events.keys()];
  let runs = 0;
  for (let size = Math.ceil(kept.length / 2); size >= 1 && runs < runsMax;) {
    let isSmaller = false;
    for (let from = 0; from < kept.length && runs < runsMax;) {
      const rest = [...kept.slice(0, from), ...kept.slice(from + size)];
      runs++;
      if (rest.length < kept.length && fails(withEvents(schedule, rest))) {
        kept = rest;
        isSmaller = true;
      } else {
        from += size;
      }
    }
    if (size === 1 && !isSmaller) break;
    size = isSmaller ? Math.min(size, Math.ceil(kept.length / 2)) : Math.floor(size / 2);
  }
  return kept;
}
