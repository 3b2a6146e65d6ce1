/** The Redis whose commands and replies this server follows. Clients and libraries choose what they send by it. */
export const REDIS_VERSION = '7.2.4';
