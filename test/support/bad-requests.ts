/** Requests that are protocol errors, with redis-server 7.0.15's text behind `Protocol error: `. */
export interface BadRequest {
  bytes: string;
  reason: string;
}

const multibulk = 'invalid multibulk length';
const bulk = 'invalid bulk length';
const unbalanced = 'unbalanced quotes in request';

const badCounts = [
  '2147483648',
  '99999999999999999999',
  '',
  '+3',
  '03',
  '-0',
  '1e3',
  '0x3',
  ' 1',
  '1 ',
  '1.0',
  '3\n$4',
];
const badLengths = [
  '536870913',
  '-1',
  '-0',
  '',
  '+3',
  '04',
  '0x3',
  '1e3',
  ' 3',
  '12345678901234567890',
  '9'.repeat(200),
  '3\n',
];

/** Those that Redis refuses with the same text. */
export const badRequests: BadRequest[] = [
  ...badCounts.map((count) => ({ bytes: `*${count}\r\n`, reason: multibulk })),
  ...badLengths.map((length) => ({ bytes: `*1\r\n$${length}\r\n`, reason: bulk })),
  { bytes: '*1\r\nx4\r\n', reason: "expected '$', got 'x'" },
  { bytes: '*1\r\n*4\r\n', reason: "expected '$', got '*'" },
  { bytes: '*1\r\n\r\n', reason: "expected '$', got ' '" },
  { bytes: '*2\r\n$4\r\nPING\r\n:1\r\n', reason: "expected '$', got ':'" },
  { bytes: `*${'1'.repeat(70_000)}`, reason: 'too big mbulk count string' },
  { bytes: `*1\r\n$${'1'.repeat(70_000)}`, reason: 'too big bulk count string' },
  { bytes: `*1\r\n${'x'.repeat(70_000)}`, reason: 'too big bulk count string' },
  { bytes: 'x'.repeat(65_537), reason: 'too big inline request' },
  { bytes: '"foo\r\n', reason: unbalanced },
  { bytes: 'PING "a"b\r\n', reason: unbalanced },
  { bytes: "PING 'a\n", reason: unbalanced },
];

/** Before AUTH, where a password is set. */
export const badRequestsBeforeAuth: BadRequest[] = [
  { bytes: '*11\r\n', reason: 'unauthenticated multibulk length' },
  { bytes: '*2147483648\r\n', reason: multibulk },
  { bytes: '*2\r\n$4\r\nPING\r\n$16385\r\n', reason: 'unauthenticated bulk length' },
  { bytes: '*1\r\n$536870913\r\n', reason: bulk },
];

/** Those that Redis takes, or waits behind. */
export const badOnlyHere: BadRequest[] = [
  { bytes: '*1\r\n$4\r\nPINGXX', reason: 'expected CRLF after bulk' },
  { bytes: '*1\r\n$4\r\nPING\rX', reason: 'expected CRLF after bulk' },
  { bytes: '*2\r\n$4\r\nPING\n\n$1\r\na\r\n', reason: 'expected CRLF after bulk' },
  { bytes: '*1\rX$4\r\n', reason: multibulk },
  { bytes: '*1\n', reason: multibulk },
  { bytes: '*1\0\r\n', reason: multibulk },
  { bytes: '*1\r\n$4\rXPING\r\n', reason: bulk },
  { bytes: '*1\r\n$4\n', reason: bulk },
  { bytes: '*1\r\n\0\r\n', reason: "expected '$', got ' '" },
  { bytes: '*1\r\n\xff\r\n', reason: "expected '$', got ' '" },
  { bytes: `${'x'.repeat(70_000)}\r\n`, reason: 'too big inline request' },
  { bytes: 'x'.repeat(65_536), reason: 'too big inline request' },
];
