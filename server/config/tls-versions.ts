/** The words of `tls-protocols`. */
import type { SecureVersion } from 'node:tls';
import { splitWords, ValueError } from './option-type.ts';

/** All that there are, the oldest first. */
export const TLS_VERSIONS: readonly SecureVersion[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'];

/** The versions that a text names in any letter case, the oldest first; none for an empty one. @throws ValueError */
export function tlsVersions(text: string): SecureVersion[] {
  const named = splitWords([text]).map((word) => {
    const version = TLS_VERSIONS.find((known) => known.toLowerCase() === word.toLowerCase());
    if (version === undefined) throw new ValueError(`'${word}' is none of ${TLS_VERSIONS.join(', ')}`);
    return version;
  });
  return TLS_VERSIONS.filter((version) => named.includes(version));
}
