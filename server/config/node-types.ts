/** Value types of Mantis's own options: addresses, durability, identities, secrets. */
import { resolve } from 'node:path';
import { formatPeerAddress } from '../../replication/links/address.ts';
import type { OptionType } from './option-type.ts';
import { single, UnsupportedError, ValueError, wordList } from './option-type.ts';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

const ADDRESS_HINT = 'an address is host:port or [ipv6]:port, with the peer port of the other node: 10.0.0.5:16379';

/** Reads `host:port` and `[::1]:port`. Throws ValueError. */
function parseHostPort(given: string): HostPort {
  const parts = /^(?:\[([0-9a-f:.%]+)\]|([^\s:[\]]+)):([0-9]{1,5})$/i.exec(given);
  const host = parts?.[1] ?? parts?.[2];
  const port = Number(parts?.[3]);
  if (host === undefined || !(port >= 1 && port <= 65535)) {
    throw new ValueError(`'${given}' is not an address`, ADDRESS_HINT);
  }
  return { host, port };
}

function renderHostPort({ host, port }: HostPort): string {
  return formatPeerAddress(host, port);
}

/** Addresses parted by spaces or commas. */
export function addresses(): OptionType<readonly HostPort[]> {
  const base = wordList('list of host:port', parseHostPort, renderHostPort);
  return {
    ...base,
    parse: (args, current) =>
      base.parse(
        args.map((argument) => argument.replaceAll(',', ' ')),
        current,
      ),
  };
}

/** One address, or nothing. */
export function optionalAddress(): OptionType<HostPort | null> {
  return single({
    syntax: 'host:port',
    parse: (given) => (given === '' ? null : parseHostPort(given)),
    render: (value) => (value === null ? '' : renderHostPort(value)),
  });
}

/** The peer port: a number, `auto` (the client port + 10000), or `none`. */
export function peerPort(): OptionType<number | 'auto' | 'none'> {
  return single<number | 'auto' | 'none'>({
    syntax: 'integer 1 to 65535, `auto`, `none`',
    parse: (given) => {
      const lower = given.toLowerCase();
      if (lower === 'auto' || lower === 'none') return lower;
      const port = /^[0-9]{1,5}$/.test(given) ? Number(given) : 0;
      if (port < 1 || port > 65535) {
        throw new ValueError('argument must be between 1 and 65535 inclusive', "or 'auto' (port + 10000), or 'none'");
      }
      return port;
    },
    render: String,
  });
}

/** What must hold before a write is answered. */
export type Durability =
  | { readonly mode: 'memory' | 'interval' | 'always' | 'mysql' }
  | { readonly mode: 'replicas'; readonly replicas: number };

export function durability(): OptionType<Durability> {
  return single<Durability>({
    syntax: '`memory`, `interval`, `always`, `mysql`, `replicas=N`',
    parse: (given) => {
      const lower = given.toLowerCase();
      if (lower === 'memory' || lower === 'interval' || lower === 'always' || lower === 'mysql') return { mode: lower };
      const replicas = Number(/^replicas=([0-9]{1,4})$/.exec(lower)?.[1] ?? 0);
      if (replicas < 1) {
        throw new ValueError('argument(s) must be one of the following: memory, interval, always, mysql, replicas=N');
      }
      return { mode: 'replicas', replicas };
    },
    render: (value) => (value.mode === 'replicas' ? `replicas=${value.replicas}` : value.mode),
  });
}

/** A node id: 16 hexadecimal digits, or nothing. */
export function nodeId(): OptionType<string> {
  return single({
    syntax: '16 hexadecimal digits',
    parse: (given) => {
      if (given !== '' && (!/^[0-9a-f]{16}$/i.test(given) || /^0+$/.test(given))) {
        throw new ValueError('argument must be 16 hexadecimal digits, not all of them 0');
      }
      return given.toLowerCase();
    },
    render: (value) => value,
  });
}

/** At most two secrets: the first is used, both are accepted, so that one can be changed node by node. */
export function secrets(): OptionType<readonly string[]> {
  const base = wordList(
    'one secret, or two parted by a space',
    (word) => word,
    (word) => word,
  );
  return {
    ...base,
    parse: (args, current) => {
      const given = base.parse(args, current);
      if (given.length > 2)
        throw new ValueError('at most two secrets can be given', 'the one in use, and the one before');
      if (given.some((secret) => Buffer.byteLength(secret) < 8)) {
        throw new ValueError('a secret has 8 bytes or more', 'make one with: openssl rand -hex 32');
      }
      return given;
    },
  };
}

/** `mysql://user:password@host:port/database`, or nothing. */
export function mysqlUrl(): OptionType<string> {
  const refused = 'argument must be a MySQL address';
  const hint =
    'such as mysql://user:password@host:3306/database; write special characters of the password as %40 and so on';
  return single({
    syntax: 'mysql://user:password@host:port/database',
    parse: (given) => {
      if (given === '') return given;
      if (!URL.canParse(given)) throw new ValueError(refused, hint);
      const url = new URL(given);
      if (url.protocol !== 'mysql:' && url.protocol !== 'mariadb:') throw new ValueError(refused, hint);
      if (url.hostname === '' || url.pathname.length < 2)
        throw new ValueError(`${refused} with a host and a database`, hint);
      return given;
    },
    render: (value) => value,
  });
}

/** The URL with its password hidden, for logs and CONFIG GET. */
export function maskUrl(given: string): string {
  if (!URL.canParse(given)) return given === '' ? '' : SECRET_MASK;
  const url = new URL(given);
  if (url.password !== '') url.password = SECRET_MASK;
  return url.href;
}

export const SECRET_MASK = '********';

/** A folder, kept as an absolute path so that a later change of the working directory does not move it. */
export function directory(): OptionType<string> {
  return single({
    syntax: 'path',
    parse: (given) => {
      if (given === '') throw new ValueError('argument must be a path');
      return resolve(given);
    },
    render: (value) => value,
  });
}

/** A folder, or `none` (held as null). */
export function directoryOrNone(): OptionType<string | null> {
  return single({
    syntax: 'path, `none`',
    parse: (given) => {
      if (given === '') throw new ValueError("argument must be a path or 'none'");
      return given.toLowerCase() === 'none' ? null : given;
    },
    render: (value) => value ?? 'none',
  });
}

/** For what Redis can do and Mantis cannot: only the value that means "off" is taken. */
export function onlyValue(allowed: string, instead: string): OptionType<string> {
  const parse = (given: string): string => {
    if (given.toLowerCase() !== allowed) throw new UnsupportedError(`only '${allowed}' is supported`, instead);
    return allowed;
  };
  const base = single({ syntax: allowed === '' ? 'empty' : `\`${allowed}\``, parse, render: (value) => value });
  // `replicaof host port` is two words: what to do instead is said of that as well.
  return { ...base, parse: (args) => parse(args.join(' ')) };
}
