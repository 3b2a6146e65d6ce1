/** What must hold between options, and the addresses and messages that follow from several of them. */
import { isLoopback } from '../../replication/links/address.ts';
import type { ConfigValues, OptionName } from './option-table.ts';

const PEER_PORT_ABOVE = 10_000;
const PORT_MAX = 65_535;

/** Port for peers, or null when the node takes part in no cluster. */
export function peerPortOf(values: ConfigValues): number | null {
  if (values['peer-port'] === 'none') return null;
  if (values['peer-port'] !== 'auto') return values['peer-port'];
  const port = values.port + PEER_PORT_ABOVE;
  // Redis serves on such a port, too: whoever wants no peers need not know of theirs.
  const isNone = port > PORT_MAX && values.peers.length === 0 && values['cluster-secret'].length === 0;
  return values.port === 0 || isNone ? null : port;
}

/** Addresses that the peer port listens on, in the syntax of `bind`. */
export function peerBindOf(values: ConfigValues): readonly string[] {
  if (values['peer-bind'].length > 0) return values['peer-bind'];
  if (values['cluster-secret'].length > 0 && values.bind.length > 0) return values.bind;
  return ['127.0.0.1', '-::1'];
}

export interface CheckProblem {
  readonly option: OptionName;
  readonly message: string;
}

function checkAddresses(values: ConfigValues, problems: CheckProblem[]): void {
  const isOpen = values.port !== 0 || values['tls-port'] !== 0;
  if (!isOpen || values.bind.length > 0 || values.unixsocket !== '') return;
  const message = "it names no address, so no client could connect: name some, or a 'unixsocket', or take 'port 0'";
  problems.push({ option: 'bind', message });
}

function checkPorts(values: ConfigValues, problems: CheckProblem[]): void {
  const peerPort = peerPortOf(values);
  if (peerPort !== null && peerPort > PORT_MAX) {
    const message = `port ${values.port} + ${PEER_PORT_ABOVE} is no port: name one with 'peer-port', or 'peer-port none'`;
    problems.push({ option: 'peer-port', message });
  }
  const owners = new Map<number, OptionName>();
  const ports: [OptionName, number][] = [
    ['port', values.port],
    ['tls-port', values['tls-port']],
    ['peer-port', peerPort ?? 0],
    ['http-port', values['http-port']],
  ];
  for (const [option, port] of ports) {
    const owner = owners.get(port);
    if (port !== 0 && owner !== undefined)
      problems.push({ option, message: `port ${port} is that of '${owner}' already` });
    owners.set(port, option);
  }
}

function checkSecurity(values: ConfigValues, problems: CheckProblem[]): void {
  const open = peerPortOf(values) === null ? undefined : peerBindOf(values).find((address) => !isLoopback(address));
  if (open !== undefined && values['cluster-secret'].length === 0) {
    const message = `peers may reach '${open}' from other machines, which needs a 'cluster-secret' (make one with: openssl rand -hex 32)`;
    problems.push({ option: 'peer-bind', message });
  }
  if (values.aclfile !== '' && values.user.length > 0) {
    problems.push({ option: 'aclfile', message: "users are in the ACL file or in 'user' lines, not in both" });
  }
  if (values['tls-port'] !== 0 && (values['tls-cert-file'] === '' || values['tls-key-file'] === '')) {
    problems.push({ option: 'tls-port', message: "it needs 'tls-cert-file' and 'tls-key-file'" });
  }
  const isChecked = values['tls-auth-clients'] !== 'no';
  if (values['tls-port'] !== 0 && isChecked && values['tls-ca-cert-file'] === '' && values['tls-ca-cert-dir'] === '') {
    const message =
      "clients' certificates are checked against 'tls-ca-cert-file' or 'tls-ca-cert-dir': name one, or 'tls-auth-clients no'";
    problems.push({ option: 'tls-port', message });
  }
  if (
    values['peer-tls'] &&
    (values['peer-tls-cert-file'] === '' ||
      values['peer-tls-key-file'] === '' ||
      values['peer-tls-ca-cert-file'] === '')
  ) {
    const message = "it needs 'peer-tls-cert-file', 'peer-tls-key-file' and 'peer-tls-ca-cert-file'";
    problems.push({ option: 'peer-tls', message });
  }
}

function checkDurability(values: ConfigValues, problems: CheckProblem[]): void {
  const { mode } = values.durability;
  if (mode === 'always' && values['data-dir'] === null) {
    problems.push({
      option: 'durability',
      message: "'always' syncs to the embedded store, which 'data-dir none' turns off",
    });
  }
  if (mode === 'mysql' && values.mysql === '') {
    problems.push({ option: 'durability', message: "'mysql' needs a database: name it with 'mysql'" });
  }
  if (mode === 'replicas' && peerPortOf(values) === null) {
    problems.push({ option: 'durability', message: "'replicas' needs peers, which 'peer-port none' turns off" });
  }
}

/** Everything that is wrong between options whose values are right one by one. */
export function checkTogether(values: ConfigValues): readonly CheckProblem[] {
  const problems: CheckProblem[] = [];
  checkAddresses(values, problems);
  checkPorts(values, problems);
  checkSecurity(values, problems);
  checkDurability(values, problems);
  return problems;
}

/** What works, but not as well as whoever set it may think. */
export function adviceOn(values: ConfigValues): readonly string[] {
  const horizonMs = values['tombstone-horizon'];
  // As replication/repair/link-repair.ts has it: two comparisons are done within the horizon, also when one has just begun.
  if (peerPortOf(values) === null || horizonMs >= 3 * values['repair-interval']) return [];
  return [
    `tombstone-horizon is shorter than three rounds of repair-interval: digests are compared with each peer every third of tombstone-horizon instead`,
  ];
}

/** What to tell when a listener could not open: the option that moves it is named. `code` is that of the system error. */
export function listenProblem(option: OptionName, host: string, port: number, code: string | undefined): string {
  const name = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  if (code === 'EADDRINUSE') return `${name} is taken by another program; choose another port with --${option}`;
  if (code === 'EACCES') return `this user may not listen on ${name}; choose a port above 1023 with --${option}`;
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    const bind = option === 'peer-port' ? 'peer-bind' : option === 'http-port' ? 'http-bind' : 'bind';
    return code === 'EADDRNOTAVAIL'
      ? `this machine has no address ${host}; choose others with --${bind}`
      : `the name ${host} has no address; choose others with --${bind}`;
  }
  return `cannot listen on ${name} (${code ?? 'unknown error'}); choose another port with --${option}`;
}
