/** Asks a running node of this machine one question, for the commands of the command line. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { resolve as resolvePath } from 'node:path';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { isNativeError } from 'node:util/types';
import type { Config } from '../config/config.ts';
import type { ConfigValues } from '../config/option-table.ts';

/** A reply; nil is null. Errors are thrown. */
export type Answer = string | number | null | Answer[];

/** No node answers on the port that the configuration names. */
export class NotRunningError extends Error {}

interface Parsed {
  value: Answer | Error;
  end: number;
}

/** The reply that begins at `at`; null when it is not whole. */
function parse(text: string, at: number): Parsed | null {
  const lineEnd = text.indexOf('\r\n', at);
  if (lineEnd < 0) return null;
  const line = text.slice(at + 1, lineEnd);
  const end = lineEnd + 2;
  const count = Number(line);
  switch (text[at]) {
    case '+':
      return { value: line, end };
    case '-':
      return { value: new Error(line), end };
    case ':':
      return { value: count, end };
    case '$':
      if (count < 0) return { value: null, end };
      return text.length < end + count + 2 ? null : { value: text.slice(end, end + count), end: end + count + 2 };
    case '*':
      return parseArray(text, end, count);
    default:
      throw new Error('what answers there is not a Mantis node');
  }
}

function parseArray(text: string, from: number, count: number): Parsed | null {
  const items: Answer[] = [];
  let at = from;
  for (let index = 0; index < count; index++) {
    const item = parse(text, at);
    if (item === null) return null;
    if (item.value instanceof Error) return item;
    items.push(item.value);
    at = item.end;
  }
  return { value: items, end: at };
}

function encode(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}

/** The AUTH to begin with, if any. */
function login(config: Config): string[][] {
  const { requirepass, 'admin-user': user, 'admin-password': password } = config.values;
  if (password !== '') return [['AUTH', user, password]];
  return requirepass === '' ? [] : [['AUTH', requirepass]];
}

/** The node's error, with what to do when it is about who asks. */
function refusal(error: Error): Error {
  if (!/^(NOAUTH|WRONGPASS|NOPERM)/.test(error.message)) return error;
  return new Error(`${error.message}: give admin-user and admin-password of one who may run MANTIS`, { cause: error });
}

interface Way {
  /** For messages. */
  readonly where: string;
  open(): Socket;
}

/** How the node is reached: by its port, its Unix socket, or else by TLS. @throws NotRunningError when it has none of them */
function wayTo(values: ConfigValues): Way {
  const { port, bind, unixsocket, dir } = values;
  const addresses = bind.map((address) => address.replace(/^-/, ''));
  const host = addresses.find((address) => !/^(\*|::\*|0\.0\.0\.0)$/.test(address)) ?? '127.0.0.1';
  if (port !== 0) return { where: `${host}:${port}`, open: () => connect(port, host) };
  if (unixsocket !== '') {
    const path = resolvePath(dir, unixsocket);
    return { where: path, open: () => connect(path) };
  }
  const tlsPort = values['tls-port'];
  if (tlsPort === 0) throw new NotRunningError('the configuration names no port');
  return { where: `${host}:${tlsPort}`, open: () => openTls(values, host, tlsPort) };
}

/** It is this machine's own node: it has to show the certificate of its configuration, and is shown the same. */
function openTls(values: ConfigValues, host: string, port: number): Socket {
  const cert = readFileSync(resolvePath(values.dir, values['tls-cert-file']));
  const key = readFileSync(resolvePath(values.dir, values['tls-key-file']));
  const passphrase = values['tls-key-file-pass'];
  const own = { cert, key, ...(passphrase === '' ? {} : { passphrase }) };
  const socket = connectTls({ host, port, ...own, rejectUnauthorized: false }, () => {
    if (socket.getPeerX509Certificate()?.fingerprint256 === new X509Certificate(cert).fingerprint256) return;
    socket.destroy(new Error(`what listens on ${host}:${port} shows another certificate than tls-cert-file`));
  });
  return socket;
}

/**
 * Sends a command to the node that this configuration is of, and gives its reply.
 * @throws NotRunningError when nobody listens there; Error with the node's message when it refuses
 */
export async function askNode(config: Config, words: readonly string[]): Promise<Answer> {
  const { where, open } = wayTo(config.values);
  const requests = [...login(config), words];
  return new Promise((resolve, reject) => {
    const socket = open();
    let received = '';
    let left = requests.length;
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    socket.on('error', (error) => {
      const isAbsent = isNativeError(error) && 'code' in error && /^(ECONNREFUSED|ENOENT)$/.test(String(error.code));
      fail(isAbsent ? new NotRunningError(`no node listens on ${where}`) : error);
    });
    socket.on('close', () => reject(new Error('the node closed the connection before it had answered')));
    socket.on('data', (data) => {
      received += data.toString('latin1');
      try {
        for (let parsed = parse(received, 0); parsed !== null && left > 0; parsed = parse(received, 0)) {
          received = received.slice(parsed.end);
          left--;
          if (parsed.value instanceof Error) throw refusal(parsed.value);
          if (left > 0) continue;
          socket.destroy();
          resolve(parsed.value);
        }
      } catch (error) {
        fail(error instanceof Error ? error : new Error(String(error)));
      }
    });
    const send = (): void => void socket.write(requests.map(encode).join(''));
    // A password is for the node alone.
    if (socket instanceof TLSSocket) socket.once('secureConnect', send);
    else send();
  });
}
