/** The tls-* options as Node.js takes them. */
import { readFileSync } from 'node:fs';
import type { TlsOptions } from 'node:tls';
import type { ConfigValues } from './config/option-table.ts';

/** @throws Error when a certificate or key file cannot be read */
export function clientTlsOptions(values: ConfigValues): TlsOptions {
  const options: TlsOptions = {
    cert: readFileSync(values['tls-cert-file']),
    key: readFileSync(values['tls-key-file']),
    requestCert: values['tls-auth-clients'] !== 'no',
    rejectUnauthorized: values['tls-auth-clients'] === 'yes',
  };
  if (values['tls-ca-cert-file'] !== '') options.ca = readFileSync(values['tls-ca-cert-file']);
  if (values['tls-key-file-pass'] !== '') options.passphrase = values['tls-key-file-pass'];
  if (values['tls-ciphers'] !== '') options.ciphers = values['tls-ciphers'];
  return options;
}
