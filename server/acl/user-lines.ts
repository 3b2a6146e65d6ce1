/** Users as text: the lines of the ACL file, and the words of `user` in the configuration. */
import { readFileSync } from 'node:fs';
import { applyRule, isUserName, joinSelectors, newUser, type RuleContext, RuleError } from './rules.ts';
import type { User } from './user.ts';
import { reasonOf } from '../../storage/backends/reason.ts';

/** What is wrong with users from a file; nothing was changed. */
export class UserLinesError extends Error {}

/**
 * The user that the words behind `user` describe.
 * @param words latin1
 * @throws RuleError
 */
export function userFromWords(words: readonly string[], context: RuleContext): User {
  const [name = '', ...rest] = words;
  if (!isUserName(name)) throw new RuleError("Usernames can't contain spaces or null characters");
  const user = newUser(name, context);
  for (const rule of joined(rest)) {
    try {
      applyRule(user, rule, context);
    } catch (error) {
      if (!(error instanceof RuleError)) throw error;
      throw new RuleError(`Error in applying operation '${rule}': ${error.message}`);
    }
  }
  return user;
}

function joined(words: readonly string[]): string[] {
  try {
    return joinSelectors(words);
  } catch (error) {
    if (error instanceof RuleError) throw new RuleError('Unmatched parenthesis in selector definition');
    throw error;
  }
}

/** What ACL LIST shows and ACL SAVE writes. */
export function lineOf(user: User): string {
  return `user ${user.name} ${user.text}`;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    const reason = reasonOf(error);
    throw new UserLinesError(`Error loading ACLs, opening file '${path}': ${reason}`);
  }
}

/**
 * All users of an ACL file.
 * @throws UserLinesError with everything that is wrong with it, in one line
 */
export function readUsers(path: string, context: RuleContext): User[] {
  const users = new Map<string, User>();
  const problems: string[] = [];
  readText(path)
    .split('\n')
    .forEach((untrimmed, index) => {
      const number = index + 1;
      const line = untrimmed.replace(/^[ \t\r]+|[ \t\r]+$/g, '');
      if (line === '' || line.startsWith('#')) return;
      const [keyword, ...words] = line.split(' ');
      const [name] = words;
      if (keyword !== 'user' || name === undefined) {
        problems.push(`${path}:${number} should start with user keyword followed by the username.`);
      } else if (users.has(name)) {
        problems.push(`WARNING: Duplicate user '${name}' found on line ${number}.`);
      } else {
        try {
          users.set(name, userFromWords(words, context));
        } catch (error) {
          if (!(error instanceof RuleError)) throw error;
          problems.push(`${path}:${number}: ${error.message}.`);
        }
      }
    });
  if (problems.length === 0) return [...users.values()];
  const unchanged = 'WARNING: ACL errors detected, no change to the previously active ACL rules was performed';
  throw new UserLinesError([...problems, unchanged].join(' '));
}
