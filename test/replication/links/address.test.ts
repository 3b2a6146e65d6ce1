import { describe, expect, it } from '@jest/globals';
import { formatPeerAddress, isLoopback } from '../../../replication/links/address.ts';

it('an address of IPv6 stands in brackets before its port', () => {
  expect([formatPeerAddress('::1', 80), formatPeerAddress('10.0.0.2', 80)]).toEqual(['[::1]:80', '10.0.0.2:80']);
});

describe('isLoopback', () => {
  it.each([
    '127.0.0.1',
    '127.9.8.7',
    '::1',
    '-::1',
    '[::1]',
    'localhost',
    'LOCALHOST',
    '127.9.9.9',
    '::ffff:127.0.0.1',
    '0:0:0:0:0:0:0:1',
  ])('%s is', (address) => {
    expect(isLoopback(address)).toBe(true);
  });

  it.each(['*', '::*', '0.0.0.0', '::', '10.0.0.1', '128.0.0.1', 'host', '127.example.org', 'localhost.example', ''])(
    '%s is not',
    (address) => {
      expect(isLoopback(address)).toBe(false);
    },
  );
});
