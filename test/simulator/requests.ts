/** What is asked of a node, and what is asked of its answers. */
import { Promises, type Promised } from './promises.ts';
import { acknowledgedMarks, type Answered, isDurable, isError, problemOf, resultsOf, type Stores } from './replies.ts';
import type { Burst } from './schedule.ts';
import { effectsOf, replyOfEffect } from './scripted.ts';
import { type Reply, SimulatedClient } from './simulated-client.ts';
import type { SimulatedNode } from './simulated-node.ts';
import type { Vows } from './vows.ts';
import type { Command } from './workload.ts';

/** Where requests are made. */
export interface RequestSite extends Stores {
  readonly promises: Promises;
  readonly vows: Vows;
  readonly isTraced: boolean;
  trace(text: string): void;
  fail(text: string): void;
}

/** A command that a request runs: itself, or one of a script's. */
interface Part {
  readonly command: Command;
  /** Its place among the requests of the burst. */
  readonly request: number;
  /** Its place in its script; null for a request itself. */
  readonly place: number | null;
  readonly promised: Promised | null;
}

export class Requests {
  readonly #site: RequestSite;
  /** Requests that were run. */
  count = 0;

  constructor(site: RequestSite) {
    this.#site = site;
  }

  ask({ node: index, client: number, commands }: Burst): void {
    const site = this.#site;
    const node = site.nodes[index];
    const runtime = node.serving;
    if (runtime === null || runtime.loading !== null) return;
    let client = node.clients[number];
    if (client.isClosed) client = node.clients[number] = new SimulatedClient(runtime, 10 + this.count);
    if (client.isBusy) return;
    this.count += commands.length;
    if (site.isTraced) site.trace(`${node.host} is asked ${JSON.stringify(commands)}`);
    const parts = this.#note(index, commands);
    const run = node.starts;
    // A script that fails on purpose does not tell that a full disk has refused what it called.
    const silent = (runtime.flusher?.status().writeError ?? null) === null ? null : '-MISCONF';
    client.send(commands, (replies) => {
      if (site.isTraced) site.trace(`${node.host} answers ${JSON.stringify(replies)}`);
      const problem = this.#judge(node, run, { commands, parts, silent }, replies);
      if (problem !== null) site.fail(problem);
    });
  }

  /** All that the requests run, with what is promised of it noted. */
  #note(node: number, commands: readonly Command[]): Part[] {
    const { promises } = this.#site;
    const isHere = commands[0][0] !== 'SELECT';
    const transaction: Promised[] | null = commands[0][0] === 'MULTI' ? [] : null;
    return commands.flatMap((command, request): Part[] => {
      const effects = effectsOf(command);
      const whole: Promised[] = transaction ?? [];
      const noted = (one: Command): Promised | null => {
        if (!isHere || !Promises.covers(one)) return null;
        return promises.note(node, one, whole);
      };
      if (effects === null) return [{ command, request, place: null, promised: noted(command) }];
      return effects.map((effect, place) => ({ command: effect, request, place, promised: noted(effect) }));
    });
  }

  /** @returns what is wrong; null when nothing is */
  #judge(
    node: SimulatedNode,
    run: number,
    { commands, parts, silent }: { commands: readonly Command[]; parts: readonly Part[]; silent: Reply },
    replies: readonly Reply[],
  ): string | null {
    const { promises, vows, schedule } = this.#site;
    const results = commands[0][0] === 'MULTI' ? resultsOf(replies) : replies;
    const answered: Answered[] = [];
    // A full disk refuses a library as it refuses writes.
    const isUnknown = commands.some(([verb], at) => verb === 'FUNCTION' && isError(results[at]));
    let problem: string | null = null;
    for (const { command, request, place, promised } of parts) {
      const reply = place === null ? results[request] : replyOfEffect(results[request], place, silent);
      answered.push({ command, reply });
      const isExpected = isUnknown && place !== null;
      problem ??=
        (isExpected ? null : problemOf(command, reply)) ?? promises.delivered(node.number - 1, run, command, reply);
      if (promised !== null) promises.answer(promised, reply);
    }
    problem ??= vows.brokenAtReply(
      node,
      parts.map(({ promised }) => promised),
    );
    for (const key of acknowledgedMarks(answered)) {
      vows.note(node, key);
      if (isDurable(this.#site, node, key)) continue;
      problem ??= `${key} was acknowledged by ${node.host}, and does not hold as durability ${schedule.durability} promises`;
    }
    return problem;
  }
}
