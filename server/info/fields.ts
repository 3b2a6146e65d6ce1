/** A section of INFO: its title and `name:value` lines. */
export type Field = readonly [name: string, value: string | number];

const UNIT_BYTES = 1024;
const UNITS = ['K', 'M', 'G', 'T', 'P'];

/** Bytes for people, as Redis writes them: `512B`, `1.50K`, `2.00G`. */
export function humanBytes(bytes: number): string {
  if (bytes < UNIT_BYTES) return `${bytes}B`;
  let value = bytes;
  let unit = '';
  for (const next of UNITS) {
    if (value < UNIT_BYTES) break;
    value /= UNIT_BYTES;
    unit = next;
  }
  return `${value.toFixed(2)}${unit}`;
}

/** A quotient with two decimals; 0 by nothing is 1: memory that is not used is not fragmented. */
export function ratio(part: number, whole: number): string {
  return (whole === 0 ? 1 : part / whole).toFixed(2);
}

export function percent(part: number, whole: number): string {
  return `${(whole === 0 ? 0 : (100 * part) / whole).toFixed(2)}%`;
}

export function sectionText(title: string, fields: readonly Field[]): string {
  return `# ${title}\r\n${fields.map(([name, value]) => `${name}:${value}\r\n`).join('')}`;
}
