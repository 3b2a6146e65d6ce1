/**
 * How far each node has brought its own writes to MySQL: one row of mantis_progress for each run of a node. The others read
 * there which of its writes they need not bring themselves.
 */
import type { Connection } from 'mysql2';
import type { MysqlConnections } from './mysql-connections.ts';

/** A run of a node, and up to which of its stamps MySQL has what it published; each 16 hex digits. */
export interface NodeProgress {
  incarnation: string;
  node: string;
  stamp: string;
}

/** What another node's row says. */
export interface PeerProgress {
  stamp: string;
  /** Milliseconds since that node wrote its row, by the server's clock. */
  silentMs: number;
}

/** Rows of runs that ended this long ago are removed. */
const KEPT_DAYS = 2;

export async function writeProgress(
  connections: MysqlConnections,
  connection: Connection,
  { incarnation, node, stamp }: NodeProgress,
): Promise<void> {
  await connections.query(
    connection,
    'INSERT INTO mantis_progress (incarnation,node,stamp,alive_at) ' +
      `VALUES (x'${incarnation}',x'${node}',x'${stamp}',UTC_TIMESTAMP(3)) ` +
      'ON DUPLICATE KEY UPDATE stamp=GREATEST(stamp,VALUES(stamp)),alive_at=VALUES(alive_at)',
  );
}

export async function removeOldProgress(connections: MysqlConnections, connection: Connection): Promise<void> {
  const sql = `DELETE FROM mantis_progress WHERE alive_at < UTC_TIMESTAMP(3) - INTERVAL ${KEPT_DAYS} DAY`;
  await connections.query(connection, sql);
}

/** What is known of some runs; those that never wrote a row are absent. */
export async function readProgress(
  connections: MysqlConnections,
  connection: Connection,
  incarnations: readonly string[],
): Promise<Map<string, PeerProgress>> {
  const ids = incarnations.map((incarnation) => `x'${incarnation}'`).join(',');
  const rows = await connections.query(
    connection,
    'SELECT HEX(incarnation),HEX(stamp),TIMESTAMPDIFF(MICROSECOND,alive_at,UTC_TIMESTAMP(3)) DIV 1000 ' +
      `FROM mantis_progress WHERE incarnation IN (${ids})`,
  );
  return new Map(
    rows.map(([incarnation, stamp, silentMs]) => [
      String(incarnation).toLowerCase(),
      { stamp: String(stamp).toLowerCase(), silentMs: Number(silentMs) },
    ]),
  );
}
