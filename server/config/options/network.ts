/** Options of the client's side of the network: listeners, connections, TLS, HTTP. */
import { choice, duration, integer, octal, text, words, yesNo } from '../option-type.ts';
import { option, type OptionTraits } from '../option-definition.ts';
import { tlsVersions } from '../tls-versions.ts';

const MAX_SECONDS = 2147483647;
/** A new certificate often comes under the name of the old one. */
const FILE: OptionTraits = { isReread: true };

export const networkOptions = {
  port: option(integer(0, 65535), '6379', 'TCP port for clients; 0 opens none.', { mutable: 'start' }),
  bind: option(
    words('list of addresses'),
    '127.0.0.1 -::1',
    'Addresses to listen on. `*` is every IPv4 address, `::*` every IPv6 one; one with a leading `-` may be missing.',
    { mutable: 'start' },
  ),
  timeout: option(duration('s', 0, MAX_SECONDS), '0', 'Closes a client that was idle this long; 0 never does.'),
  'tcp-keepalive': option(duration('s', 0, MAX_SECONDS), '300', 'Time between TCP keepalive probes; 0 sends none.'),
  'tcp-backlog': option(integer(), '511', 'Length of the queue of connections not yet accepted.', { mutable: 'never' }),
  'tcp-direct-write': option(
    choice('auto', 'yes', 'no'),
    'auto',
    'Reads from and writes to the socket handle of Node.js directly; `auto` does so where a check at start finds it possible.',
    { mutable: 'start' },
  ),
  unixsocket: option(text('path'), '', 'Path of a Unix socket for clients; empty opens none.', { mutable: 'never' }),
  unixsocketperm: option(octal(), '0', 'File permissions of the Unix socket; 0 leaves them.', { mutable: 'never' }),
  'http-port': option(integer(0, 65535), '0', 'Port for metrics and health; 0 opens none.', {
    mutable: 'start',
  }),
  'http-bind': option(words('list of addresses'), '127.0.0.1', 'Addresses that `http-port` listens on.', {
    mutable: 'start',
  }),
  'tls-port': option(integer(0, 65535), '0', 'TCP port for clients that use TLS; 0 opens none.', { mutable: 'start' }),
  'tls-cert-file': option(
    text('path'),
    '',
    'Certificate for `tls-port`, PEM. CONFIG SET reads the files anew, also under the same names.',
    FILE,
  ),
  'tls-key-file': option(text('path'), '', 'Private key of `tls-cert-file`, PEM.', FILE),
  'tls-key-file-pass': option(text(), '', 'Passphrase of `tls-key-file`.', { secret: 'masked' }),
  'tls-ca-cert-file': option(text('path'), '', 'Authorities that client certificates are checked against, PEM.', FILE),
  'tls-ca-cert-dir': option(text('path'), '', 'Folder of such authorities.', FILE),
  'tls-auth-clients': option(
    choice('no', 'yes', 'optional'),
    'yes',
    'Whether TLS clients must show a certificate, which needs `tls-ca-cert-file` or `tls-ca-cert-dir`.',
  ),
  'tls-protocols': option(
    text('text', tlsVersions),
    '',
    'TLS versions allowed, such as `TLSv1.2 TLSv1.3`; empty is the default of Node.js.',
  ),
  'tls-ciphers': option(text(), '', 'Ciphers for TLS 1.2, in OpenSSL syntax.'),
  'tls-ciphersuites': option(text(), '', 'Cipher suites for TLS 1.3, in OpenSSL syntax.'),
  'tls-prefer-server-ciphers': option(yesNo(), 'no', "The server's order of ciphers wins over the client's."),
};
