/** Libraries that do their work in scripts, driven against the built program. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Queue, QueueEvents, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { type MantisProcess, startMantis } from '../support/mantis-process.ts';

let mantis: MantisProcess;

beforeAll(async () => {
  mantis = await startMantis({ dataDir: 'none' });
});

afterAll(() => mantis.server.stop());

describe('rate-limiter-flexible', () => {
  it('lets through as many as it was told, and says when more may come', async () => {
    const client = new Redis(mantis.port, '127.0.0.1');
    try {
      const limiter = new RateLimiterRedis({ storeClient: client, points: 3, duration: 60, keyPrefix: 'limit' });
      const left: number[] = [];
      for (let request = 0; request < 3; request++) left.push((await limiter.consume('someone')).remainingPoints);
      expect(left).toEqual([2, 1, 0]);
      const refusal: unknown = await limiter.consume('someone').catch((reason: unknown) => reason);
      expect(refusal).toBeInstanceOf(RateLimiterRes);
      expect((refusal as RateLimiterRes).msBeforeNext).toBeGreaterThan(50_000);
      expect((await limiter.consume('another')).remainingPoints).toBe(2);
      await limiter.delete('someone');
      expect((await limiter.consume('someone')).remainingPoints).toBe(2);
    } finally {
      client.disconnect();
    }
  });
});

describe('a lock by SET NX PX and a script', () => {
  it('is let go of only by who holds it', async () => {
    const client = new Redis(mantis.port, '127.0.0.1', {
      scripts: {
        release: {
          numberOfKeys: 1,
          lua: "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end",
        },
      },
    }) as Redis & { release(key: string, token: string): Promise<number> };
    try {
      expect(await client.set('lock', 'mine', 'PX', 60_000, 'NX')).toBe('OK');
      expect(await client.set('lock', 'theirs', 'PX', 60_000, 'NX')).toBeNull();
      expect(await client.release('lock', 'theirs')).toBe(0);
      await client.script('FLUSH');
      expect(await client.release('lock', 'mine')).toBe(1);
      expect(await client.set('lock', 'theirs', 'PX', 60_000, 'NX')).toBe('OK');
    } finally {
      client.disconnect();
    }
  });
});

describe('bullmq', () => {
  const connection = (): { host: string; port: number } => ({ host: '127.0.0.1', port: mantis.port });

  it('runs jobs by priority, again after a failure, and later when they are delayed', async () => {
    const queue = new Queue('jobs', { connection: connection() });
    const events = new QueueEvents('jobs', { connection: connection() });
    await events.waitUntilReady();
    const order: string[] = [];
    try {
      const jobs = await queue.addBulk([
        { name: 'low', data: { at: 1 }, opts: { priority: 10 } },
        { name: 'high', data: { at: 2 }, opts: { priority: 1 } },
        { name: 'flaky', data: { at: 3 }, opts: { attempts: 2 } },
        { name: 'late', data: { at: 4 }, opts: { delay: 200 } },
      ]);
      const worker = new Worker<{ at: number }>(
        'jobs',
        (job) => {
          order.push(job.name);
          if (job.name === 'flaky' && job.attemptsMade === 0) throw new Error('once');
          return Promise.resolve(job.data.at * 10);
        },
        { connection: connection() },
      );
      try {
        const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 60_000)));
        expect(results).toEqual([10, 20, 30, 40]);
        expect(order.indexOf('high')).toBeLessThan(order.indexOf('low'));
        expect(order.filter((name) => name === 'flaky')).toHaveLength(2);
        expect(await queue.getJobCounts('completed', 'failed', 'waiting')).toEqual({
          completed: 4,
          failed: 0,
          waiting: 0,
        });
      } finally {
        await worker.close();
      }
    } finally {
      await Promise.all([events.close(), queue.close()]);
    }
  });
});
