import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Ports below the range from which Linux picks those of outgoing connections (32768 on), so that none of those takes
 * one meanwhile; as far below it that the port + 10000 on which a node listens for peers where nothing else is said is
 * below it, too, and is never handed out.
 */
const lowestPort = 11_000;
const shareSize = 2_500;
const shares = 4;
const defaultPeerPortOffset = 10_000;

/** Processes that run tests side by side have a share of the ports each: none takes what another was just given. */
const worker = Number(process.env['JEST_WORKER_ID'] ?? randomInt(shares) + 1);
const firstPort = lowestPort + ((worker - 1) % shares) * shareSize;
const handedOut = new Set<number>();

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** A TCP port of 127.0.0.1 on which nothing listens, nor on the one 10000 above it, and which was not given before. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = firstPort + randomInt(shareSize);
    if (handedOut.has(port)) continue;
    handedOut.add(port);
    if ((await canListen(port)) && (await canListen(port + defaultPeerPortOffset))) return port;
  }
  throw new Error(`no free port found between ${firstPort} and ${firstPort + shareSize}`);
}
