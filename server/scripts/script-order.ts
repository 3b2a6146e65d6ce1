/** What is run in Lua, and under which rules. */
import type { ScriptFlags } from './shebang.ts';

/** What holds for one run of a script. */
export interface RunRules {
  /** EVAL_RO, EVALSHA_RO, FCALL_RO, or a script that says it does not write. */
  readonly readOnly: boolean;
  readonly flags: ScriptFlags | null;
}

/** What to run, and what to call it in an error. */
export interface Order {
  /** For the prelude: `s7` is script 7. */
  readonly text: string;
  /** The script's SHA-1, or the function's name. */
  readonly name: string;
  readonly rules: RunRules;
}

/** What Lua or the prelude has against something that it was to take. */
export interface Problem {
  readonly compiling: boolean;
  readonly message: string;
}
