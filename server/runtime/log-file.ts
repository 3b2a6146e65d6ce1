/** Where log lines go: a file that is opened for each line, as redis-server does, or standard error. */
import { appendFileSync, writeSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { reasonOf } from '../../storage/backends/reason.ts';
import { makeFolder } from '../../storage/backends/make-folder.ts';

const STANDARD_ERROR = 2;

/**
 * A full disk or a reader that has gone must not end a node: lines that cannot be written are dropped and counted, and the count is
 * written when lines can be again. As the file is opened by its name each time, it may be renamed at any moment to rotate it.
 */
export class LogFile {
  readonly #path: string | null;
  #dropped = 0;
  #problem = '';

  /**
   * @param path empty for standard error
   * @throws Error that says what to do when nothing can be written to that file
   */
  constructor(path: string) {
    this.#path = path === '' ? null : resolve(path);
    if (this.#path === null) return;
    try {
      makeFolder(dirname(this.#path));
      appendFileSync(this.#path, '');
    } catch (error) {
      throw new Error(`cannot write the log to ${this.#path}: name another file with --logfile (${reasonOf(error)})`, {
        cause: error,
      });
    }
  }

  /** For pino: takes a line with its newline. */
  write(line: string): void {
    try {
      if (this.#dropped > 0) {
        this.#append(
          `${JSON.stringify({ level: 40, dropped: this.#dropped, problem: this.#problem, msg: 'log lines were lost' })}\n`,
        );
        this.#dropped = 0;
      }
      this.#append(line);
    } catch (error) {
      this.#dropped++;
      this.#problem = reasonOf(error);
    }
  }

  #append(text: string): void {
    if (this.#path === null) writeSync(STANDARD_ERROR, text);
    else appendFileSync(this.#path, text);
  }
}
