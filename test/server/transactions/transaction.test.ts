import { describe, expect, it } from '@jest/globals';
import { type Invocation, QueuedCommands } from '../../../server/transactions/transaction.ts';
import { CommandTable } from '../../../server/definitions/command-table.ts';
import { withSeed } from '../../support/seed.ts';

const table = new CommandTable([
  { name: 'set', summary: '', since: '1.0.0', group: 'string', arity: -3, flags: ['write', 'denyoom'], syntax: '' },
]);
const SET = table.byName.get('set')!;

function invocation(args: readonly Buffer[], gap: Buffer): Invocation {
  const starts = new Int32Array(args.length + 3);
  const lengths = new Int32Array(args.length + 3);
  const parts: Buffer[] = [];
  let at = 0;
  for (const [index, bytes] of args.entries()) {
    parts.push(gap, bytes);
    starts[index] = at + gap.length;
    lengths[index] = bytes.length;
    at += gap.length + bytes.length;
  }
  return { command: SET, buffer: Buffer.concat(parts), argc: args.length, starts, lengths };
}

function argumentsOf({ buffer, argc, starts, lengths }: Invocation): Buffer[] {
  return Array.from({ length: argc }, (_, index) => buffer.subarray(starts[index], starts[index] + lengths[index]));
}

describe('queued commands', () => {
  it('keep their arguments though the buffer that they came in is used again', async () => {
    await withSeed('test/server/transactions/transaction.test.ts', (random) => {
      const queued = new QueuedCommands();
      const expected: Buffer[][] = [];
      const call = invocation([], Buffer.alloc(0));
      let least = 0;
      for (let count = 0; count < 50; count++) {
        const args = Array.from({ length: 1 + random.below(6) }, () => random.bytes(random.pick([0, 1, 20, 3000])));
        const from = invocation(args, random.bytes(3));
        queued.push(from);
        from.buffer.fill(0);
        from.starts.fill(0);
        from.lengths.fill(0);
        expected.push(args);
        least += args.reduce((sum, { length }) => sum + length, 0);
      }
      expect(queued.bytes).toBeGreaterThan(least);
      for (const [index, args] of expected.entries()) {
        queued.load(index, call);
        expect(call.command).toBe(SET);
        expect(argumentsOf(call).map((each, at) => each.equals(args[at]))).toEqual(args.map(() => true));
      }
    });
  });

  it('let go of everything when they are cleared, and can only be aborted then', () => {
    const queued = new QueuedCommands();
    queued.push(invocation([Buffer.from('set'), Buffer.alloc(1000)], Buffer.alloc(0)));
    queued.clear();
    expect([queued.commands.length, queued.bytes, queued.aborted]).toEqual([0, 0, true]);
  });
});

describe('the table of commands', () => {
  it('finds commands by bytes in any letter case, and nothing else', () => {
    const names = ['get', 'set', 'getset', 'config', 'zrangebyscore', 'a', 'json.get', 'x-y_z'];
    const many = new CommandTable(
      names.map((name) => ({ name, summary: '', since: '1.0.0', group: 'string', arity: 1, flags: [], syntax: '' })),
    );
    for (const name of names) {
      for (const text of [name, name.toUpperCase(), name.replace('e', 'E')]) {
        const bytes = Buffer.from(`::${text}::`);
        expect(many.find(bytes, 2, text.length)?.name).toBe(name);
      }
    }
    for (const text of [
      '',
      'ge',
      'gett',
      'sev',
      '__proto__',
      'constructor',
      'g\u0005t',
      'GET\0',
      'x\rY_z',
      'X-Y\x7fZ',
      'JSON\x0eGET',
    ]) {
      const bytes = Buffer.from(text);
      expect(many.find(bytes, 0, bytes.length)).toBeUndefined();
    }
  });

  it('refuses two commands of one name', () => {
    const definition = {
      name: 'set',
      summary: '',
      since: '1.0.0',
      group: 'string' as const,
      arity: 1,
      flags: [],
      syntax: '',
    };
    expect(() => new CommandTable([definition, definition])).toThrow('set is defined twice');
  });

  it('derives what the dispatcher asks for', () => {
    const [config] = new CommandTable([
      {
        name: 'config',
        summary: '',
        since: '2.0.0',
        group: 'server',
        arity: -2,
        flags: ['admin'],
        syntax: '',
        subcommands: [
          {
            name: 'set',
            summary: '',
            since: '2.0.0',
            group: 'server',
            arity: -4,
            flags: ['write', 'denyoom'],
            syntax: '',
          },
        ],
      },
    ]).byName.values();
    const set = config.subcommandTable.get('set')!;
    expect([config.fullName, config.isWrite, config.deniesOom, config.parent]).toEqual(['config', false, false, null]);
    expect([set.fullName, set.isWrite, set.deniesOom, set.parent]).toEqual(['config|set', true, true, config]);
  });
});
