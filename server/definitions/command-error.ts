/** Error replies that end a command, and the texts that many commands share: clients match on them. */

/** An error reply that ends the command: what was replied so far is taken back. The message starts with its code, `ERR …`. */
export class CommandError extends Error {
  override readonly name = 'CommandError';

  constructor(message: string) {
    // Nobody reads its stack, which would take longer to note than most commands take.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(message);
    Error.stackTraceLimit = stackTraceLimit;
  }
}

export const WRONG_TYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value';
export const SYNTAX_ERROR = 'ERR syntax error';
export const NOT_AN_INTEGER = 'ERR value is not an integer or out of range';
export const NOT_A_FLOAT = 'ERR value is not a valid float';
