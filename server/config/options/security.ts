/** Who may do what. */
import { userLines } from '../composite-types.ts';
import { choice, longInteger, text, yesNo } from '../option-type.ts';
import { option } from '../option-definition.ts';

export const securityOptions = {
  requirepass: option(text(), '', 'Password of the default user; empty asks for none.', { secret: 'shown' }),
  user: option(
    userLines(),
    '',
    'A user of this node and what it may do, as ACL SETUSER takes it; once for each user. Not together with `aclfile`.',
    { mutable: 'never', secret: 'masked', hidden: true, unknownToConfig: true },
  ),
  'admin-user': option(
    text(),
    'default',
    'User as whom `mantis verify` and `mantis backup` ask the running node, with `admin-password`.',
  ),
  'admin-password': option(text(), '', 'Password of `admin-user`; empty for `requirepass`.', { secret: 'masked' }),
  'protected-mode': option(
    yesNo(),
    'yes',
    'Without a password, takes commands from the loopback only when `bind` names other addresses.',
  ),
  'enable-protected-configs': option(
    choice('no', 'yes', 'local'),
    'no',
    'Lets CONFIG SET change protected options: for everybody, or for local connections.',
    { mutable: 'never' },
  ),
  'enable-debug-command': option(
    choice('no', 'yes', 'local'),
    'no',
    'Allows DEBUG: for everybody, or for local connections.',
    { mutable: 'never' },
  ),
  aclfile: option(
    text('path'),
    '',
    'File of the users of this node, which ACL LOAD reads and ACL SAVE writes; empty for none. Nodes do not tell each other of ' +
      'users: give each one the same file.',
    { mutable: 'never' },
  ),
  'acllog-max-len': option(longInteger(), '128', 'Entries that ACL LOG keeps.'),
  'acl-pubsub-default': option(
    choice('allchannels', 'resetchannels'),
    'resetchannels',
    'Channels that a new ACL user may use.',
  ),
};
