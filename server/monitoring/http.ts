/**
 * What a machine asks over HTTP on `http-port`: is the node alive, may it be sent clients, and its metrics.
 *
 *   GET /health/live    200 while the process runs
 *   GET /health/ready   200 when it serves; 503 with the reason while it loads, refuses writes, or stops
 *   GET /metrics        Prometheus's text format
 */
import { type Server, type ServerResponse, createServer } from 'node:http';
import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';
import { listenProblem } from '../config/checks.ts';
import { tombstoneCount } from '../info/mantis.ts';
import type { Node } from '../node.ts';

/** Metrics that are read off the node when they are asked for: name, help, value. */
const GAUGES: readonly [string, string, (node: Node) => number][] = [
  ['mantis_connected_clients', 'Connected clients.', (node) => node.sessions.size],
  ['mantis_used_memory_bytes', 'Bytes that the data takes.', (node) => node.keyspace.usedBytes],
  ['mantis_tombstones', 'Keys that were deleted or have lapsed, and are remembered.', tombstoneCount],
  ['mantis_peers_linked', 'Peers with a live link.', (node) => node.replicator?.linkedPeers ?? 0],
  [
    'mantis_dirty_registers',
    'Registers that the durable stores lack.',
    (node) => node.flusher?.status().dirtyCount ?? 0,
  ],
  ['mantis_mysql_queued', 'Registers that wait for MySQL.', (node) => node.flusher?.status().mysql?.queuedCount ?? 0],
  ['mantis_mysql_up', 'Whether MySQL answers.', (node) => Number(node.flusher?.status().mysql?.state === 'up')],
];

const COUNTERS: readonly [string, string, (node: Node) => number][] = [
  ['mantis_commands_total', 'Commands run.', (node) => node.statistics.commandsProcessed],
  ['mantis_connections_total', 'Connections accepted.', (node) => node.statistics.connectionsReceived],
  ['mantis_keyspace_hits_total', 'Reads of keys that were there.', (node) => node.statistics.keyspaceHits],
  ['mantis_keyspace_misses_total', 'Reads of keys that were not there.', (node) => node.statistics.keyspaceMisses],
  ['mantis_expired_keys_total', 'Keys that have expired.', (node) => node.keyspace.expiredKeys],
  ['mantis_evicted_keys_total', 'Keys evicted to make room.', (node) => node.statistics.evictedKeys],
  ['mantis_merges_won_total', "Peers' changes that were newer than what was here.", (node) => node.keyspace.merges.won],
  ['mantis_merges_lost_total', "Peers' changes that were older.", (node) => node.keyspace.merges.lost],
  ['mantis_merges_equal_total', "Peers' changes that were here already.", (node) => node.keyspace.merges.equal],
  [
    'mantis_conflicts_won_total',
    "This node's writes that stayed against a concurrent one.",
    (node) => node.keyspace.merges.conflictsWon,
  ],
  [
    'mantis_conflicts_lost_total',
    "This node's writes that went for a concurrent one.",
    (node) => node.keyspace.merges.conflictsLost,
  ],
  ['mantis_error_replies_total', 'Error replies.', (node) => node.statistics.errorReplies],
];

export class HttpService {
  readonly #node: Node;
  readonly #registry = new Registry();
  readonly #servers: Server[] = [];
  /** Set when the node stops: it is not ready any more. */
  isStopping = false;

  constructor(node: Node) {
    this.#node = node;
  }

  /** @throws Error that names the address and the option, when it cannot be listened on */
  async start(): Promise<void> {
    const { values } = this.#node.config;
    const port = values['http-port'];
    if (port === 0) return;
    this.#register();
    for (const host of values['http-bind']) await this.#listen(host, port);
  }

  #register(): void {
    const node = this.#node;
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    for (const [name, help, read] of GAUGES) {
      const gauge: Gauge = new Gauge({ name, help, registers, collect: () => gauge.set(read(node)) });
    }
    for (const [name, help, read] of COUNTERS) {
      const collect = (): void => {
        counter.reset();
        counter.inc(read(node));
      };
      const counter: Counter = new Counter({ name, help, registers, collect });
    }
    const keys: Gauge = new Gauge({
      name: 'mantis_keys',
      help: 'Keys by database.',
      labelNames: ['database'],
      registers,
      collect: () => {
        for (const { number, keyCount } of node.keyspace.databases) {
          if (keyCount > 0 || number === 0) keys.set({ database: number }, keyCount);
        }
      },
    });
  }

  #listen(host: string, port: number): Promise<void> {
    const server = createServer((request, response) => {
      this.#answer(request.method ?? '', request.url ?? '', response).catch((error: unknown) => {
        this.#node.log.error({ err: error }, 'an HTTP request failed');
        response.destroy();
      });
    });
    this.#servers.push(server);
    return new Promise((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        reject(new Error(listenProblem('http-port', host, port, error.code), { cause: error }));
      });
      server.listen({ host, port }, resolve);
    });
  }

  async #answer(method: string, url: string, response: ServerResponse): Promise<void> {
    const path = url.split('?')[0];
    if (method !== 'GET' && method !== 'HEAD') reply(response, 405, 'only GET\n');
    else if (path === '/health/live') reply(response, 200, 'alive\n');
    else if (path === '/health/ready') this.#answerReady(response);
    else if (path === '/metrics') reply(response, 200, await this.#registry.metrics(), this.#registry.contentType);
    else reply(response, 404, 'there are /health/live, /health/ready and /metrics\n');
  }

  #answerReady(response: ServerResponse): void {
    const { loading, writeRefusal } = this.#node;
    if (this.isStopping) reply(response, 503, 'stopping\n');
    else if (loading !== null) reply(response, 503, `loading: ${loading.done} of ${loading.total} registers\n`);
    else if (writeRefusal !== null) reply(response, 503, `${writeRefusal}\n`);
    else reply(response, 200, 'ready\n');
  }

  stop(): void {
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
  }
}

function reply(response: ServerResponse, status: number, text: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
  response.end(text);
}
