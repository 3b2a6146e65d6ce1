/**
 * The MySQL schema and its upgrades, forwards only. A released step is never edited; a change is a new step. Every step can
 * run again after it was interrupted, because MySQL's DDL cannot be rolled back.
 */
import { StoreError } from './backend.ts';
import { MysqlConnections, type MysqlPool } from './mysql-connections.ts';
import { isSqlError, mysqlErrorOf } from './mysql-errors.ts';
import type { Connection } from 'mysql2';

export interface SchemaStep {
  version: number;
  summary: string;
  statements: string[];
}

const VERSIONS_TABLE =
  'CREATE TABLE IF NOT EXISTS mantis_schema (' +
  'version INT UNSIGNED NOT NULL PRIMARY KEY, ' +
  'summary VARBINARY(200) NOT NULL, ' +
  'applied_at DATETIME NOT NULL' +
  ') ENGINE=InnoDB DEFAULT CHARACTER SET binary';

/*
 * id is the SHA-256 of the register key (register-key.ts), so keys may be of any length and any bytes.
 * ver is stamp and origin, deadline_ver the deadline's, both big-endian, so that bytes compare as versions do.
 * expired says that the value is gone because the deadline passed where the row was written.
 * expires_at is expires_ms for people, in UTC; expires_ms 0 with a deadline_ver means that the deadline was taken back.
 */
export const SCHEMA_STEPS: readonly SchemaStep[] = [
  {
    version: 1,
    summary: 'one row per register',
    statements: [
      'CREATE TABLE IF NOT EXISTS mantis_registers (' +
        'id BINARY(32) NOT NULL PRIMARY KEY, ' +
        'db SMALLINT UNSIGNED NOT NULL, ' +
        'k LONGBLOB NOT NULL, ' +
        'element LONGBLOB NULL, ' +
        'kind TINYINT UNSIGNED NOT NULL, ' +
        'v LONGBLOB NOT NULL, ' +
        'dead TINYINT UNSIGNED NOT NULL, ' +
        'expired TINYINT UNSIGNED NOT NULL, ' +
        'expires_at DATETIME(3) NULL, ' +
        'expires_ms BIGINT UNSIGNED NULL, ' +
        'deadline_ver BINARY(16) NULL, ' +
        'ver BINARY(16) NOT NULL' +
        ') ENGINE=InnoDB DEFAULT CHARACTER SET binary',
    ],
  },
];

/** The schema that this release reads and writes. */
export const SCHEMA_VERSION = SCHEMA_STEPS.at(-1)!.version;

const NO_SUCH_TABLE = 1146;
const MIGRATE_TIMEOUTS = { connectTimeoutMs: 10_000, queryTimeoutMs: 24 * 3_600_000 };

async function versionOf(connections: MysqlConnections, connection: Connection): Promise<number> {
  try {
    const rows = await connections.query(connection, 'SELECT MAX(version) FROM mantis_schema');
    return Number(rows[0]?.[0] ?? 0);
  } catch (error) {
    if (isSqlError(error) && error.errno === NO_SUCH_TABLE) return 0;
    throw error;
  }
}

/** Throws a StoreError (refused) unless the schema is the one that this release knows. */
export async function checkSchema(connections: MysqlConnections, connection: Connection): Promise<void> {
  const version = await versionOf(connections, connection);
  if (version < SCHEMA_VERSION) {
    const state = version === 0 ? 'has no Mantis schema' : `has schema ${version}`;
    throw new StoreError(
      'refused',
      `MySQL ${connections.server} ${state}; this release needs ${SCHEMA_VERSION}: run \`mantis migrate\``,
    );
  }
  if (version > SCHEMA_VERSION) {
    throw new StoreError(
      'refused',
      `MySQL ${connections.server} has schema ${version} of a newer release; this one knows ${SCHEMA_VERSION}: start the newer release`,
    );
  }
}

/**
 * Brings the schema up to this release, and returns the steps that were missing. With `plan`, only says them.
 * Two that run at the same time do no harm. Throws a StoreError.
 */
export async function migrate(
  target: string | MysqlPool,
  { plan = false }: { plan?: boolean } = {},
): Promise<SchemaStep[]> {
  const connections = new MysqlConnections(target, MIGRATE_TIMEOUTS);
  try {
    return await connections.use(async (connection) => {
      const version = await versionOf(connections, connection);
      if (version > SCHEMA_VERSION) await checkSchema(connections, connection);
      const missing = SCHEMA_STEPS.filter((step) => step.version > version);
      if (plan) return missing;
      if (missing.length > 0) await connections.query(connection, VERSIONS_TABLE);
      for (const { version: stepVersion, summary, statements } of missing) {
        for (const statement of statements) await connections.query(connection, statement);
        await connections.query(
          connection,
          `INSERT IGNORE INTO mantis_schema VALUES (${stepVersion}, '${summary}', UTC_TIMESTAMP())`,
        );
      }
      await connections.query(connection, 'COMMIT');
      return missing;
    });
  } catch (error) {
    throw mysqlErrorOf(error, connections.server);
  } finally {
    connections.close();
  }
}
