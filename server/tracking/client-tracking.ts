/** How one client has the keys tracked that it caches: CLIENT TRACKING. */

/**
 * Which reads are tracked: all; those that CLIENT CACHING YES stands before (`optin`); or all but those that CLIENT CACHING NO stands
 * before (`optout`).
 */
export type TrackingMode = 'all' | 'optin' | 'optout';

export interface TrackingSettings {
  /** The id of the client that is told; 0 for the one that tracks. */
  readonly redirect: number;
  /** Told of all keys with its prefixes, whether it has read them or not. */
  readonly broadcasts: boolean;
  readonly mode: TrackingMode;
  /** Not told of what it writes itself. */
  readonly noLoop: boolean;
}

export class ClientTracking {
  settings: TrackingSettings;
  /** CLIENT CACHING was called: the next command is an exception of the mode. */
  isExcepted = false;
  /** The client that is to be told has gone. */
  isRedirectBroken = false;
  /** What it broadcasts, as latin1 text. */
  readonly prefixes = new Set<string>();

  constructor(settings: TrackingSettings) {
    this.settings = settings;
  }

  /** Whether the keys are remembered that the command reads which is being run. */
  get remembers(): boolean {
    const { broadcasts, mode } = this.settings;
    return !broadcasts && (mode === 'all' || (mode === 'optin') === this.isExcepted);
  }
}
