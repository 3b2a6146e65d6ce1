/** What must be when a storm is over. */
import { RespClient } from '../support/resp-client.ts';
import type { Reply } from '../support/resp3-parser.ts';
import { waitFor } from '../support/wait-for.ts';
import type { Anomalies, Resident } from './clients.ts';
import type { StormNode } from './cluster.ts';
import type { Register } from './ledger.ts';

/** More of large values would not fit into a small node's memory together. */
const SHOWN_AT_ONCE = 20;
const TEXT_LENGTH_MAX = 200;

export async function ask(port: number, ...words: string[]): Promise<Reply> {
  const client = await RespClient.connect(port);
  try {
    return await client.command(...words);
  } finally {
    await client.close();
  }
}

/** Every node is linked with every other one. */
export function untilMeshed(nodes: readonly StormNode[], deadlineMs: number): Promise<unknown> {
  return waitFor(
    'every node to be linked with every other one',
    async () => {
      const texts = await Promise.all(nodes.map(({ port }) => ask(port, 'INFO', 'mantis')));
      return texts.every((text) => String(text).includes(`peers_linked:${nodes.length - 1}\r\n`));
    },
    { deadlineMs, intervalMs: 100 },
  );
}

/** Resolves to how long it took until all digests were equal, in ms. */
export async function untilAgreed(nodes: readonly StormNode[], deadlineMs: number): Promise<number> {
  const startedAtMs = performance.now();
  await waitFor(
    'equal digests',
    async () => {
      const digests = await Promise.all(nodes.map(({ port }) => ask(port, 'MANTIS', 'DIGEST')));
      return digests.every((digest) => typeof digest === 'string' && digest === digests[0]);
    },
    { deadlineMs, intervalMs: 50 },
  );
  return performance.now() - startedAtMs;
}

export async function valuesOf(client: RespClient, names: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (let at = 0; at < names.length; at += SHOWN_AT_ONCE) {
    const some = names.slice(at, at + SHOWN_AT_ONCE);
    const values = (await client.command('MGET', ...some)) as (string | null)[];
    for (const [index, value] of values.entries()) if (value !== null) found.set(some[index], value);
  }
  return found;
}

/** One that is asked, and what is not as it must be there. */
export class Checked {
  readonly #name: string;
  readonly #client: RespClient;
  readonly #anomalies: Anomalies;

  constructor(name: string, client: RespClient, anomalies: Anomalies) {
    this.#name = name;
    this.#client = client;
    this.#anomalies = anomalies;
  }

  compare(registers: ReadonlyMap<string, Register>, found: ReadonlyMap<string, string>): void {
    for (const [name, register] of registers) {
      const value = found.get(name) ?? null;
      if (!register.allows(value))
        this.#say(`${name} is ${shortened(value ?? 'nothing')}, not ${shortened(register.states)}`);
    }
  }

  async residents(residents: readonly Resident[]): Promise<void> {
    const client = this.#client;
    const fields = pairs(await client.command('HGETALL', 'fields'));
    const members = (await client.command('SMEMBERS', 'members')) as string[];
    const pushed = (await client.command('LRANGE', 'pushed', '0', '-1')) as string[];
    const once = new Map(pushed.map((element) => [element, '1']));
    if (once.size !== pushed.length) this.#say('an element was pushed twice');
    for (const resident of residents) {
      this.compare(resident.keys, await valuesOf(client, [...resident.keys.keys()]));
      this.compare(resident.fields, fields);
      this.compare(resident.members, new Map(members.map((member) => [member, 'member'])));
      this.compare(resident.pushed, once);
    }
    await this.#counters(residents);
    await this.#deadlines();
  }

  async #counters(residents: readonly Resident[]): Promise<void> {
    for (let counter = 0; counter < residents[0].sums.length; counter++) {
      const value = Number(await this.#client.command('GET', `counter:${counter}`));
      const least = residents.reduce((sum, { sums }) => sum + sums[counter].least, 0);
      const most = residents.reduce((sum, { sums }) => sum + sums[counter].most, 0);
      if (value < least || value > most) this.#say(`counter ${counter} is ${value}, not ${least} to ${most}`);
    }
  }

  /** Lent keys are not shown when their time is over; a node with a fast clock lent some for longer than the others think. */
  async #deadlines(): Promise<void> {
    const [seconds] = (await this.#client.command('TIME')) as string[];
    for (const name of (await this.#client.command('KEYS', 'lent:*')) as string[]) {
      const deadlineMs = Number(await this.#client.command('PEXPIRETIME', name));
      if (deadlineMs !== -2 && deadlineMs < Number(seconds) * 1000) this.#say(`${name} is past its deadline`);
    }
  }

  #say(text: string): void {
    this.#anomalies.push(`${this.#name}: ${text}`);
  }
}

function shortened(text: string): string {
  return text.length <= TEXT_LENGTH_MAX ? text : `${text.slice(0, TEXT_LENGTH_MAX)}…`;
}

function pairs(flat: Reply): Map<string, string> {
  const words = flat as string[];
  const found = new Map<string, string>();
  for (let index = 0; index < words.length; index += 2) found.set(words[index], words[index + 1]);
  return found;
}
