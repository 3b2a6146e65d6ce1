/** Peers: who they are, how they are reached, and the bounds of what they may cost. */
import { addresses, nodeId, optionalAddress, peerPort, secrets } from '../node-types.ts';
import { duration, integer, size, text, words, yesNo } from '../option-type.ts';
import { option } from '../option-definition.ts';

const DAY_MS = 86_400_000;
const START = { mutable: 'start' } as const;

export const clusterOptions = {
  peers: option(
    addresses(),
    '',
    'Addresses of some or all other nodes, with their peer ports; the others are learnt from them. A name stands for every ' +
      'address that it resolves to.',
    START,
  ),
  'peer-port': option(
    peerPort(),
    'auto',
    'Port for peers; `auto` is `port` + 10000, or `none` where that is no port and no peers are named; `none` takes part in no cluster.',
    START,
  ),
  'peer-bind': option(
    words('list of addresses'),
    '',
    'Addresses that `peer-port` listens on; empty is those of `bind` with a `cluster-secret`, and the loopback without.',
    START,
  ),
  'peer-advertise': option(
    optionalAddress(),
    '',
    'Address that other nodes are told to reach this one at; empty lets them use the one that they see.',
    START,
  ),
  'node-id': option(nodeId(), '', 'Identity of this node; empty draws one and keeps it in `data-dir`.', START),
  'cluster-id': option(text(), 'mantis', 'Name of the cluster; nodes of another name are refused.', START),
  'cluster-secret': option(
    secrets(),
    '',
    'Secret that peers prove to each other. Two may be given while it is being changed: the first is used, both are accepted.',
    { protected: true, secret: 'masked' },
  ),
  'min-replicas-to-write': option(
    integer(),
    '0',
    'While fewer peers than this are linked, writes of clients are refused with `NOREPLICAS`; 0 refuses none.',
    { aliases: ['min-slaves-to-write'] },
  ),
  'outbox-bytes-max': option(
    size(1048576),
    '64mb',
    'Bytes kept for a peer that is slow or away; past them it is repaired instead.',
  ),
  'repair-interval': option(duration('ms', 1), '60s', 'How often this node compares digests with its peers.'),
  'repair-rate': option(
    size(65536),
    '32mb',
    'Bytes a second that this node may send for repairs, those of all peers together.',
  ),
  'tombstone-horizon': option(
    duration('ms', 1000, 3650 * DAY_MS),
    '24h',
    'A member away for longer is no longer waited for when tombstones are dropped, and must resynchronise before it may push. ' +
      'Digests are compared at least three times as often.',
  ),
  'max-clock-drift': option(
    duration('ms', 1),
    '60s',
    'Changes stamped further ahead of this clock than this are not merged.',
  ),
  'conflict-log-max-len': option(
    integer(0, 10_000),
    '128',
    'Conflicts of concurrent writes that are kept for MANTIS WHY and MANTIS CONFLICTS.',
  ),
  'peer-ping-interval': option(duration('ms', 10), '1s', 'Time between pings to a peer.'),
  'peer-timeout': option(duration('ms', 50), '10s', 'A peer that sent nothing for this long counts as gone.'),
  'peer-connect-timeout': option(duration('ms', 10), '5s', 'Time that connecting and the handshake may take.'),
  'peer-reconnect-delay-max': option(duration('ms', 10), '10s', 'Longest pause between two attempts to reach a peer.'),
  'peer-resolve-interval': option(duration('ms', 100), '5s', 'How often names in `peers` are resolved again.'),
  'peer-tls': option(yesNo(), 'no', 'Peers speak TLS with each other.', START),
  'peer-tls-cert-file': option(
    text('path'),
    '',
    'Certificate of this node for its peers, PEM. It has the name or the address that they reach this node by, as `peers` and `peer-advertise` say.',
    START,
  ),
  'peer-tls-key-file': option(text('path'), '', 'Private key of `peer-tls-cert-file`, PEM.', START),
  'peer-tls-key-file-pass': option(text(), '', 'Passphrase of `peer-tls-key-file`.', {
    mutable: 'start',
    secret: 'masked',
  }),
  'peer-tls-ca-cert-file': option(
    text('path'),
    '',
    "Authorities that peers' certificates are checked against, PEM.",
    START,
  ),
};
