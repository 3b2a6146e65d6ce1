/** Who may do what. */
import { choice, longInteger, text, ValueError, yesNo } from '../option-type.ts';
import { option } from '../option-definition.ts';

function refuseFile(value: string): void {
  if (value !== '') throw new ValueError('ACL files are not supported', "use 'requirepass'");
}

export const securityOptions = {
  requirepass: option(text(), '', 'Password of the default user; empty asks for none.', { secret: 'shown' }),
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
  aclfile: option(text('empty', refuseFile), '', 'File of ACL users.', { mutable: 'never' }),
  'acllog-max-len': option(longInteger(), '128', 'Entries that ACL LOG keeps.'),
  'acl-pubsub-default': option(
    choice('allchannels', 'resetchannels'),
    'resetchannels',
    'Channels that a new ACL user may use.',
  ),
};
