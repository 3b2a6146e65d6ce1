/** Matching of names: Redis's glob patterns, and the nearest name to a wrong one. */

interface PatternStep {
  /** Undefined stands for `*`. */
  readonly accepts: ((character: string) => boolean) | undefined;
}

function readClass(pattern: string, start: number): { accepts: (character: string) => boolean; next: number } {
  let at = start;
  const negated = pattern[at] === '^';
  if (negated) at++;
  const ranges: [string, string][] = [];
  while (at < pattern.length && pattern[at] !== ']') {
    if (pattern[at] === '\\' && at + 1 < pattern.length) at++;
    const low = pattern[at] ?? '';
    if (pattern[at + 1] === '-' && at + 2 < pattern.length) {
      const high = pattern[at + 2] ?? '';
      ranges.push(low < high ? [low, high] : [high, low]);
      at += 3;
    } else {
      ranges.push([low, low]);
      at++;
    }
  }
  const accepts = (character: string): boolean =>
    ranges.some(([low, high]) => character >= low && character <= high) !== negated;
  return { accepts, next: at + 1 };
}

function compile(pattern: string): PatternStep[] {
  const steps: PatternStep[] = [];
  let at = 0;
  while (at < pattern.length) {
    const character = pattern[at] ?? '';
    at++;
    if (character === '*') {
      if (steps.length === 0 || steps.at(-1)?.accepts !== undefined) steps.push({ accepts: undefined });
    } else if (character === '?') {
      steps.push({ accepts: () => true });
    } else if (character === '[') {
      const { accepts, next } = readClass(pattern, at);
      steps.push({ accepts });
      at = next;
    } else {
      const literal = character === '\\' && at < pattern.length ? (pattern[at++] ?? '') : character;
      steps.push({ accepts: (given) => given === literal });
    }
  }
  return steps;
}

/** Makes a test for a Redis glob (`*`, `?`, `[a-z]`, `[^a]`, backslash), blind to letter case; time is name times pattern. */
export function globMatcher(pattern: string): (name: string) => boolean {
  const steps = compile(pattern.toLowerCase());
  return (given) => {
    const name = given.toLowerCase();
    let step = 0;
    let at = 0;
    let starStep = -1;
    let starAt = 0;
    while (at < name.length) {
      const accepts = steps[step]?.accepts;
      if (step < steps.length && accepts === undefined) {
        starStep = step++;
        starAt = at;
      } else if (accepts?.(name[at] ?? '') === true) {
        step++;
        at++;
      } else if (starStep >= 0) {
        // Only the last star ever needs to take more, so that no pattern costs more than length times length.
        step = starStep + 1;
        at = ++starAt;
      } else {
        return false;
      }
    }
    while (step < steps.length && steps[step]?.accepts === undefined) step++;
    return step === steps.length;
  };
}

/** Whether a pattern holds anything but plain characters. */
export function isGlob(pattern: string): boolean {
  return /[*?[\\]/.test(pattern);
}

/** Number of single-character insertions, removals, replacements and swaps of neighbours between two words. */
export function editDistance(left: string, right: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1] ? 0 : 1;
      let best = Math.min((last[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1, (last[column - 1] ?? 0) + same);
      const swapped =
        row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      if (swapped) best = Math.min(best, (beforeLast[column - 2] ?? 0) + 1);
      current.push(best);
    }
    beforeLast = last;
    last = current;
  }
  return last[right.length] ?? 0;
}

/** The known name that is nearest to a wrong one, or undefined when none is near. */
export function nearestName(wrong: string, known: readonly string[]): string | undefined {
  const asked = wrong.toLowerCase().replaceAll('_', '-').slice(0, 64);
  let nearest: string | undefined;
  let distance = Math.max(2, Math.floor(asked.length / 3)) + 1;
  for (const name of known) {
    const current = editDistance(asked, name);
    if (current < distance) {
      distance = current;
      nearest = name;
    }
  }
  if (nearest !== undefined) return nearest;
  return asked.length < 4 ? undefined : known.find((name) => name.includes(asked) || asked.includes(name));
}
