/** What commands ask of a node's scripts. */
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import type { ArgumentSource } from '../../protocol/resp-request.ts';
import type { Session } from '../clients/session.ts';
import type { CompiledScripts } from './compiled-scripts.ts';
import type { FunctionLibraries } from './function-libraries.ts';
import type { ScriptCache } from './script-cache.ts';
import type { Order } from './script-order.ts';

/** The command that calls a script. */
export interface ScriptCaller extends ArgumentSource {
  readonly session: Session;
  readonly reply: ReplyWriter;
}

export interface ScriptControl {
  readonly cache: ScriptCache;
  readonly compiled: CompiledScripts;
  readonly libraries: FunctionLibraries;
  /** Bytes that Lua holds; 0 before the first script. */
  readonly machineBytes: number;
  /**
   * Runs a script or a function, with the arguments of the command that calls it from `firstKey` on, of which the first
   * `keyCount` are keys, and writes the command's reply.
   * @throws CommandError with the script's error
   */
  run(order: Order, caller: ScriptCaller, firstKey: number, keyCount: number): void;
}
