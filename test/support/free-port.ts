import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below the range from which Linux picks the ports of outgoing connections (32768 on), so that none of those takes it meanwhile. */
const lowestPort = 11_000;
const highestPort = 32_000;
const handedOut = new Set<number>();

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** A TCP port of 127.0.0.1 on which nothing listens, and which this process has not been given before. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(lowestPort, highestPort);
    if (handedOut.has(port)) continue;
    handedOut.add(port);
    if (await canListen(port)) return port;
  }
  throw new Error(`no free port found between ${lowestPort} and ${highestPort}`);
}
