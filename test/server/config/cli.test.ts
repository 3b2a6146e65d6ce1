import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { runCli } from '../../../server/program/cli.ts';
import type { Config } from '../../../server/config/config.ts';

interface Ran {
  code: number;
  out: string;
  error: string;
  started: Config | undefined;
  copied?: { config: Config; directory: string };
  verified?: { config: Config; isRepairing: boolean };
  migrated: { config: Config; plan: boolean } | undefined;
}

async function run(argv: string[], env: Record<string, string> = {}, startFails?: Error): Promise<Ran> {
  const ran: Ran = { code: -1, out: '', error: '', started: undefined, migrated: undefined };
  const start = (config: Config): Promise<void> => {
    ran.started = config;
    return startFails === undefined ? Promise.resolve() : Promise.reject(startFails);
  };
  const migrate = (config: Config, plan: boolean): Promise<void> => {
    ran.migrated = { config, plan };
    return Promise.resolve();
  };
  const surroundings = {
    env,
    writeOut: (text: string) => void (ran.out += text),
    writeError: (text: string) => void (ran.error += text),
  };
  const backup = (config: Config, directory: string): Promise<void> => {
    ran.copied = { config, directory };
    return Promise.resolve();
  };
  const verify = (config: Config, isRepairing: boolean): Promise<boolean> => {
    ran.verified = { config, isRepairing };
    return Promise.resolve(false);
  };
  ran.code = await runCli(argv, { start, migrate, backup, verify }, surroundings);
  return ran;
}

describe('the command line', () => {
  it.each([[[]], [['start']]])('starts by %j', async (argv: string[]) => {
    const ran = await run(argv, { MANTIS_HZ: '20' });
    expect([ran.code, ran.started?.values.port, ran.started?.values.hz, ran.error]).toEqual([0, 6379, 20, '']);
  });

  it('hands the folder and the options of a backup on, and wants the folder first', async () => {
    const ran = await run(['backup', 'copy', '--port', '7001']);
    expect([ran.code, ran.copied?.directory, ran.copied?.config.values.port]).toEqual([0, 'copy', 7001]);
    const without = await run(['backup', '--port', '7001']);
    expect([without.code, without.copied]).toEqual([1, undefined]);
    expect(without.error).toMatch(/mantis backup DIR/);
  });

  it('ends with 1 when verify finds differences', async () => {
    const ran = await run(['verify', '--repair', '--port', '7001']);
    expect([ran.code, ran.verified?.isRepairing, ran.verified?.config.values.port]).toEqual([1, true, 7001]);
    expect((await run(['verify'])).verified?.isRepairing).toBe(false);
  });

  it.each([
    [['--port', '7001', '--bind', '127.0.0.1', '::1']],
    [['start', '--port', '7001', '--bind', '127.0.0.1', '::1']],
    [['--port=7001', '--bind', '127.0.0.1 ::1']],
  ])('hands options on: %j', async (argv) => {
    const ran = await run(argv);
    expect([ran.started?.values.port, ran.started?.values.bind]).toEqual([7001, ['127.0.0.1', '::1']]);
  });

  it('migrates, and plans', async () => {
    const plan = await run(['migrate', '--plan', '--mysql', 'mysql://h/d']);
    expect([plan.code, plan.migrated?.plan, plan.migrated?.config.values.mysql]).toEqual([0, true, 'mysql://h/d']);
    const real = await run(['migrate'], { MANTIS_MYSQL: 'mysql://h/d' });
    expect([real.migrated?.plan, real.migrated?.config.values.mysql]).toEqual([false, 'mysql://h/d']);
  });

  it('prints its version and its help', async () => {
    const version: unknown = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(version).toMatchObject({ version: (await run(['--version'])).out.trim().replace('mantis ', '') });
    const help = await run(['--help']);
    expect(help.code).toBe(0);
    for (const part of ['Usage: mantis', 'migrate', 'Peers:', '--cluster-secret', '--maxmemory-policy'])
      expect(help.out).toContain(part);
    expect(help.out).not.toContain('--appendonly ');
    expect(help.started).toBeUndefined();
  });

  it.each(['start', 'migrate', 'backup', 'verify'])('prints its help for %s --help, too', async (command) => {
    for (const flag of ['--help', '-h']) {
      const ran = await run([command, flag]);
      expect([ran.code, ran.started]).toEqual([0, undefined]);
      expect(ran.out).toContain('Usage: mantis');
    }
  });

  it('ends with 1 and every problem, and starts nothing', async () => {
    const ran = await run(['start', '--prot', '1', '--maxmemory', '5xx'], { MANTIS_HZ: 'x' });
    expect([ran.code, ran.started]).toEqual([1, undefined]);
    expect(ran.error).toContain('mantis: 3 problems in the configuration:\n');
    expect(ran.error).toContain("  --prot (argument 2): unknown option 'prot'; did you mean 'port'?\n");
    expect(ran.error).toContain("  --maxmemory (argument 4): '5xx': argument must be a memory value");
    expect(ran.error).toContain('Try mantis --help.');
  });

  it('says of a primary in two words what to do instead', async () => {
    const ran = await run(['--replicaof', '10.0.0.1', '6379']);
    expect(ran.error).toContain("only '' is supported (every node takes writes; name the others with 'peers')");
  });

  it('takes a mistyped command for one', async () => {
    const ran = await run(['strat']);
    expect(ran.code).toBe(1);
    expect(ran.error).toContain("cannot read the configuration file 'strat': there is no such file");
    expect(ran.error).toContain("Did you mean the command 'start'?");
  });

  it('says why a command failed', async () => {
    const ran = await run([], {}, new Error('127.0.0.1:6379 is taken'));
    expect([ran.code, ran.error]).toEqual([1, 'mantis: 127.0.0.1:6379 is taken\n']);
  });
});
