import { describe, expect, it } from '@jest/globals';
import { cpSync, renameSync } from 'node:fs';
import { systemRandom } from '../../../replication/system.ts';
import { folderSeal } from '../../../server/persistence/folder-seal.ts';
import { type Identity, identify, rememberWriter } from '../../../server/persistence/identity.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

/** A folder with a node's facts, as they are after a clean stop. */
class Store {
  readonly folder: string;
  readonly facts: Map<string, Buffer>;

  constructor(folder: string, facts = new Map<string, Buffer>()) {
    this.folder = folder;
    this.facts = facts;
  }

  start(nodeId = ''): Promise<Identity> {
    return identify(nodeId, systemRandom, this.#asked, folderSeal(this.folder));
  }

  async run(nodeId = ''): Promise<Identity> {
    const identity = await this.start(nodeId);
    await rememberWriter(identity, this.#asked);
    return identity;
  }

  /** The same facts in another folder. */
  in(folder: string): Store {
    return new Store(folder, new Map(this.facts));
  }

  get #asked(): { get: (name: string) => Promise<Buffer | null>; set: (name: string, bytes: Buffer) => Promise<void> } {
    const { facts } = this;
    return {
      get: (name) => Promise.resolve(facts.get(name) ?? null),
      set: (name, bytes) => Promise.resolve(void facts.set(name, bytes)),
    };
  }
}

describe('the writer of a node', () => {
  it('stays over a clean stop, wherever its folder is moved', async () => {
    const store = new Store(temporaryFolder('identity'));
    const first = await store.run();
    expect(first).toMatchObject({ writer: first.node, isRenamed: false });
    const moved = `${temporaryFolder('identity')}/moved`;
    renameSync(store.folder, moved);
    expect(await store.in(moved).run()).toMatchObject({ node: first.node, writer: first.writer });
  });

  it('is a new one after a crash, and in a copy of the folder', async () => {
    const store = new Store(temporaryFolder('identity'));
    const { node, writer } = await store.run();
    const copy = store.in(temporaryFolder('identity'));
    cpSync(store.folder, copy.folder, { recursive: true, preserveTimestamps: true });
    const copied = await copy.start();
    expect(copied.node).toEqual(node);
    expect(copied.writer).not.toEqual(writer);
    expect((await store.start()).writer).toEqual(writer);
    expect((await store.start()).writer).not.toEqual(writer);
  });

  it('is a new one under another node id', async () => {
    const store = new Store(temporaryFolder('identity'));
    const { node, writer } = await store.run();
    const renamed = await store.start('00000000000000bb');
    expect(renamed).toMatchObject({ node: { hi: 0, lo: 0xbb }, isRenamed: true });
    expect([node, writer]).not.toContainEqual(renamed.writer);
  });

  it('is a new one where an earlier release has noted it without a seal', async () => {
    const store = new Store(temporaryFolder('identity'));
    const { writer } = await store.run();
    store.facts.set('writer-id', store.facts.get('writer-id')!.subarray(0, 16));
    expect((await store.start()).writer).not.toEqual(writer);
  });
});
