declare module 'redis-parser' {
  interface ParserOptions<Reply> {
    returnReply: (reply: Reply) => void;
    returnError: (error: Error) => void;
    /** Called for bytes that are no RESP. */
    returnFatalError?: (error: Error) => void;
    returnBuffers?: boolean;
    stringNumbers?: boolean;
  }

  export default class RedisParser<Reply = unknown> {
    constructor(options: ParserOptions<Reply>);
    execute(data: Buffer): void;
  }
}
