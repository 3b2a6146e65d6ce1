/** Peer addresses: `host:port`, `1.2.3.4:port`, `[::1]:port`. */

export interface PeerAddress {
  host: string;
  port: number;
}

export function formatPeerAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether an address, of `bind` or of a connection, can be reached from this machine only. */
export function isLoopback(address: string): boolean {
  const host = address
    .replace(/^-/, '')
    .replace(/^\[|\]$/g, '')
    .replace(/%.*$/, '')
    .toLowerCase();
  if (host === 'localhost' || host === '::1' || host === '0:0:0:0:0:0:0:1') return true;
  return /^(::ffff:)?127\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}$/.test(host);
}
