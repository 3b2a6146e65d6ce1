/** Peer addresses: `host:port`, `1.2.3.4:port`, `[::1]:port`. */

export interface PeerAddress {
  host: string;
  port: number;
}

/** @throws Error that says what is wrong with the text and how it should look */
export function parsePeerAddress(text: string): PeerAddress {
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text.trim());
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port >= 1 && port <= 65535)) {
    throw new Error(`'${text}' is not a peer address; write host:peer-port, for example 10.0.0.2:16379 or [::1]:16379`);
  }
  return { host, port };
}

export function formatPeerAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** True for addresses that only this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host) || /^::ffff:127\./i.test(host);
}
