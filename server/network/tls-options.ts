/** The tls-* options as Node.js takes them. */
import { constants } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext, DEFAULT_CIPHERS, type SecureContextOptions, type SecureVersion } from 'node:tls';
import type { ConfigValues, OptionName } from '../config/option-table.ts';
import { TLS_VERSIONS, tlsVersions } from '../config/tls-versions.ts';
import { reasonOf } from '../../storage/backends/reason.ts';

/** Options that say what certificates, keys and ciphers are used: all of these can be changed while a node runs. */
export const TLS_CONTEXT_OPTIONS = [
  'tls-cert-file',
  'tls-key-file',
  'tls-key-file-pass',
  'tls-ca-cert-file',
  'tls-ca-cert-dir',
  'tls-auth-clients',
  'tls-protocols',
  'tls-ciphers',
  'tls-ciphersuites',
  'tls-prefer-server-ciphers',
] as const satisfies readonly OptionName[];

const LEFT_OUT: Readonly<Record<SecureVersion, number>> = {
  TLSv1: constants.SSL_OP_NO_TLSv1,
  'TLSv1.1': constants.SSL_OP_NO_TLSv1_1,
  'TLSv1.2': constants.SSL_OP_NO_TLSv1_2,
  'TLSv1.3': constants.SSL_OP_NO_TLSv1_3,
};

/** @throws Error that names the option when something cannot be read or does not fit together */
export function tlsContextOptions(values: ConfigValues): SecureContextOptions {
  const authorities = [
    ...(values['tls-ca-cert-file'] === '' ? [] : [read('tls-ca-cert-file', values['tls-ca-cert-file'])]),
    ...(values['tls-ca-cert-dir'] === '' ? [] : certificatesIn(values['tls-ca-cert-dir'])),
  ];
  const options: SecureContextOptions = {
    cert: read('tls-cert-file', values['tls-cert-file']),
    key: read('tls-key-file', values['tls-key-file']),
    ciphers: ciphers(values),
    honorCipherOrder: values['tls-prefer-server-ciphers'],
    ...(authorities.length === 0 ? {} : { ca: authorities }),
    ...(values['tls-key-file-pass'] === '' ? {} : { passphrase: values['tls-key-file-pass'] }),
    ...versions(values['tls-protocols']),
  };
  try {
    createSecureContext(options);
  } catch (error) {
    throw new Error(`the tls-* options cannot be used together, or one of the files is not PEM: ${reasonOf(error)}`, {
      cause: error,
    });
  }
  return options;
}

/** What a server asks of its clients, as its own properties: they hold for the next connection. */
export function clientDemands(values: ConfigValues): { requestCert: boolean; rejectUnauthorized: boolean } {
  return {
    requestCert: values['tls-auth-clients'] !== 'no',
    rejectUnauthorized: values['tls-auth-clients'] === 'yes',
  };
}

function read(option: OptionName, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new Error(`${option} cannot be read: ${reasonOf(error)}`, { cause: error });
  }
}

/** Every certificate of the folder, whatever the file's name: OpenSSL's links by hash lead to files of the same folder. */
function certificatesIn(folder: string): Buffer[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    throw new Error(`tls-ca-cert-dir cannot be read: ${reasonOf(error)}`, { cause: error });
  }
  const found = names
    .map((name) => join(folder, name))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true)
    .map((path) => read('tls-ca-cert-dir', path))
    .filter((content) => content.includes('-----BEGIN CERTIFICATE-----'));
  // Without any Node.js would trust the authorities of the web instead.
  if (found.length === 0) throw new Error(`tls-ca-cert-dir has no certificate in PEM: ${folder}`);
  return found;
}

/** In Node.js one list has both kinds, and a version of which there is none is off. */
function ciphers(values: ConfigValues): string {
  const fallback = DEFAULT_CIPHERS.split(':');
  const isSuite = (name: string): boolean => name.startsWith('TLS_');
  const given = values['tls-ciphersuites'];
  const suites = given === '' ? fallback.filter(isSuite) : given.split(':');
  const older = values['tls-ciphers'] === '' ? fallback.filter((name) => !isSuite(name)) : [values['tls-ciphers']];
  return [...suites, ...older].join(':');
}

function versions(text: string): SecureContextOptions {
  const allowed = tlsVersions(text);
  const lowest = allowed[0];
  const highest = allowed.at(-1);
  if (lowest === undefined || highest === undefined) return {};
  const leftOut = TLS_VERSIONS.filter((version) => !allowed.includes(version)).map((version) => LEFT_OUT[version]);
  return {
    minVersion: lowest,
    maxVersion: highest,
    secureOptions: leftOut.reduce((options, bit) => options | bit, 0),
  };
}
