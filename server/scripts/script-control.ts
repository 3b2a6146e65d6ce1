/** What commands ask of a node's scripts. */
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import type { ArgumentSource } from '../../protocol/resp-request.ts';
import type { Session } from '../clients/session.ts';
import type { BusyScript } from './busy-script.ts';
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
  /** The script that was taken out of its turn, until it has ended. */
  readonly busy: BusyScript | null;
  /** Scripts may call commands that are denied them: DEBUG SET-DISABLE-DENY-SCRIPTS. */
  mayCallAll: boolean;
  /**
   * Runs a script or a function, with the arguments of the command that calls it from `firstKey` on, of which the first
   * `keyCount` are keys, and writes the command's reply.
   * @throws CommandError with the script's error; SCRIPT_TAKEN_OUT when it has taken too long: `goOn` lets it run on
   */
  run(order: Order, caller: ScriptCaller, firstKey: number, keyCount: number): void;
  /** Lets the busy script run on for a slice. Returns whether it has ended: `conclude` answers then. */
  goOn(): boolean;
  /** Writes the reply of the command that has called the busy script. @throws CommandError with the script's error */
  conclude(caller: ScriptCaller): void;
}
