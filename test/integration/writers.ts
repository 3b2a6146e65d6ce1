/** One way to write through the clients that applications use, so that a test can mix them. */
import { Redis } from 'ioredis';
import { createClient } from 'redis';

export interface Transaction {
  values: Readonly<Record<string, string>>;
  counter: string;
}

export interface Writer {
  readonly name: string;
  set(key: string, value: string, ttlMs?: number): Promise<unknown>;
  increment(key: string, by: number): Promise<unknown>;
  incrementByFloat(key: string, by: number): Promise<unknown>;
  delete(key: string): Promise<unknown>;
  /** Sets all values and adds one to the counter, in MULTI. */
  transact(transaction: Transaction): Promise<unknown>;
  close(): void;
}

export function ioredisWriter(port: number): Writer {
  const client = new Redis({ port, host: '127.0.0.1' });
  return {
    name: `ioredis ${port}`,
    set: (key, value, ttlMs) => (ttlMs === undefined ? client.set(key, value) : client.set(key, value, 'PX', ttlMs)),
    increment: (key, by) => (by === 1 ? client.incr(key) : client.incrby(key, by)),
    incrementByFloat: (key, by) => client.incrbyfloat(key, by),
    delete: (key) => client.del(key),
    transact: async ({ values, counter }) => {
      const results = await client.multi().mset(values).incr(counter).exec();
      if (results === null) throw new Error('the transaction was not carried out');
      for (const [error] of results) if (error !== null) throw error;
    },
    close: () => client.disconnect(),
  };
}

export async function nodeRedisWriter(port: number): Promise<Writer> {
  const client = createClient({ socket: { port, host: '127.0.0.1' } });
  client.on('error', () => {});
  await client.connect();
  return {
    name: `node-redis ${port}`,
    set: (key, value, ttlMs) =>
      ttlMs === undefined
        ? client.set(key, value)
        : client.set(key, value, { expiration: { type: 'PX', value: ttlMs } }),
    increment: (key, by) => client.incrBy(key, by),
    incrementByFloat: (key, by) => client.incrByFloat(key, by),
    delete: (key) => client.del(key),
    transact: ({ values, counter }) => client.multi().mSet(values).incr(counter).exec(),
    close: () => client.destroy(),
  };
}
