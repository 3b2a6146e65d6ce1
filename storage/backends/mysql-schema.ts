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
  /** The table that it makes. */
  table: string;
  statements: string[];
  /** Nodes that do not know this step go on working beside it: it only adds a table or an index. */
  isAdditive?: boolean;
}

/** Additive steps are noted in a table of their own: a node goes by the highest version in the first one alone. */
const STEP_TABLES = ['mantis_schema', 'mantis_schema_additions'] as const;

function tableOf({ isAdditive }: SchemaStep): string {
  return STEP_TABLES[isAdditive === true ? 1 : 0];
}

function makeStepTable(name: string): string {
  return (
    `CREATE TABLE IF NOT EXISTS ${name} (` +
    'version INT UNSIGNED NOT NULL PRIMARY KEY, ' +
    'summary VARBINARY(200) NOT NULL, ' +
    'applied_at DATETIME NOT NULL' +
    ') ENGINE=InnoDB DEFAULT CHARACTER SET binary'
  );
}

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
    table: 'mantis_registers',
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
  {
    version: 2,
    summary: 'progress of the nodes, rows by key',
    table: 'mantis_progress',
    statements: [
      // One row for each run of a node: MySQL has what it published up to this stamp, and it was alive at this time.
      'CREATE TABLE IF NOT EXISTS mantis_progress (' +
        'incarnation BINARY(8) NOT NULL PRIMARY KEY, ' +
        'node BINARY(8) NOT NULL, ' +
        'stamp BINARY(8) NOT NULL, ' +
        'alive_at DATETIME(3) NOT NULL' +
        ') ENGINE=InnoDB DEFAULT CHARACTER SET binary',
      'CREATE INDEX mantis_registers_key ON mantis_registers (db, k(32))',
    ],
    isAdditive: true,
  },
  {
    version: 3,
    summary: 'who has sums in collections',
    table: 'mantis_sum_origins',
    statements: [
      // With these the ids of all rows that a tombstone of one element may cover are known: mysql-sum-origins.ts.
      'CREATE TABLE IF NOT EXISTS mantis_sum_origins (' +
        'origin BINARY(8) NOT NULL PRIMARY KEY' +
        ') ENGINE=InnoDB DEFAULT CHARACTER SET binary',
    ],
    isAdditive: true,
  },
];

/** The schema that this release reads and writes. */
export const SCHEMA_VERSION = SCHEMA_STEPS.at(-1)!.version;

const NO_SUCH_TABLE = 1146;
const DUPLICATE_KEY_NAME = 1061;
const MIGRATE_TIMEOUTS = { connectTimeoutMs: 10_000, queryTimeoutMs: 24 * 3_600_000 };

/** The steps that were made, as noted in one table. */
async function versionsIn(connections: MysqlConnections, connection: Connection, table: string): Promise<number[]> {
  try {
    const rows = await connections.query(connection, `SELECT version FROM ${table}`);
    return rows.map(([version]) => Number(version));
  } catch (error) {
    if (isSqlError(error) && error.errno === NO_SUCH_TABLE) return [];
    throw error;
  }
}

/** Of the tables that steps make, those that are there. */
async function tablesIn(connections: MysqlConnections, connection: Connection): Promise<Set<string>> {
  const names = SCHEMA_STEPS.map(({ table }) => `'${table}'`).join(',');
  const sql = `SELECT table_name FROM information_schema.tables WHERE table_schema=DATABASE() AND table_name IN (${names})`;
  const rows = await connections.query(connection, sql);
  return new Set(rows.map(([name]) => String(name)));
}

interface SchemaState {
  /** The greatest version that older releases would not understand. */
  binding: number;
  /** Steps of this release that are missing. */
  missing: SchemaStep[];
}

async function stateOf(connections: MysqlConnections, connection: Connection): Promise<SchemaState> {
  const [binding, additions] = [
    await versionsIn(connections, connection, STEP_TABLES[0]),
    await versionsIn(connections, connection, STEP_TABLES[1]),
  ];
  // A table that was dropped is made again, whatever is noted; with that of the registers its index has gone.
  const tables = await tablesIn(connections, connection);
  const made = new Set(tables.has('mantis_registers') ? [...binding, ...additions] : []);
  const missing = SCHEMA_STEPS.filter(({ version, table }) => !made.has(version) || !tables.has(table));
  return { binding: Math.max(0, ...binding), missing };
}

function refuseNewer({ binding }: SchemaState, server: string): void {
  if (binding <= SCHEMA_VERSION) return;
  throw new StoreError(
    'refused',
    `MySQL ${server} has schema ${binding} of a newer release; this one knows ${SCHEMA_VERSION}: start the newer release`,
  );
}

/** Throws a StoreError (refused) unless the schema is the one that this release knows. */
export async function checkSchema(connections: MysqlConnections, connection: Connection): Promise<void> {
  const state = await stateOf(connections, connection);
  refuseNewer(state, connections.server);
  const { missing } = state;
  if (missing.length === 0) return;
  const has = missing.length === SCHEMA_STEPS.length ? 'has no Mantis schema' : `has schema ${missing[0].version - 1}`;
  throw new StoreError(
    'refused',
    `MySQL ${connections.server} ${has}; this release needs ${SCHEMA_VERSION}: run \`mantis migrate\``,
  );
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
      const state = await stateOf(connections, connection);
      refuseNewer(state, connections.server);
      const { missing } = state;
      if (plan) return missing;
      for (const step of missing) await make(connections, connection, step);
      await connections.query(connection, 'COMMIT');
      return missing;
    });
  } catch (error) {
    throw mysqlErrorOf(error, connections.server);
  } finally {
    connections.close();
  }
}

async function make(connections: MysqlConnections, connection: Connection, step: SchemaStep): Promise<void> {
  const { version, summary, statements } = step;
  await connections.query(connection, makeStepTable(tableOf(step)));
  for (const statement of statements) {
    try {
      await connections.query(connection, statement);
    } catch (error) {
      // MySQL knows no CREATE INDEX IF NOT EXISTS.
      if (!isSqlError(error) || error.errno !== DUPLICATE_KEY_NAME) throw error;
    }
  }
  await connections.query(
    connection,
    `INSERT IGNORE INTO ${tableOf(step)} VALUES (${version}, '${summary}', UTC_TIMESTAMP())`,
  );
}
