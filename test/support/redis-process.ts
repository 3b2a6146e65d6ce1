import { ChildServer, programPath } from './child-server.ts';
import { freePort } from './free-port.ts';
import { answersPing } from './resp-client.ts';
import { temporaryFolder } from './temporary-folder.ts';

export interface RedisProcess {
  server: ChildServer;
  port: number;
  dataDir: string;
}

/** Starts Debian's redis-server, without persistence, on a free port of 127.0.0.1. */
export async function startRedis({ args = [] }: { args?: string[] } = {}): Promise<RedisProcess> {
  const port = await freePort();
  const dataDir = temporaryFolder('redis');
  const server = await ChildServer.start({
    program: programPath('redis-server'),
    args: [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--dir',
      dataDir,
      '--save',
      '',
      '--appendonly',
      'no',
      ...args,
    ],
    isReady: () => answersPing(port),
  });
  return { server, port, dataDir };
}
