/** Why a link is over. */
export interface Ending {
  /** One of the REFUSE_ numbers; 0 = the connection was lost or the node closed it without a word. */
  readonly code: number;
  readonly message: string;
  readonly by: 'here' | 'peer' | 'network';
}
