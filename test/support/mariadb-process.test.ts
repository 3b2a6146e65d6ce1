import { expect, it } from '@jest/globals';
import { MariadbProcess } from './mariadb-process.ts';

it('keeps its data over a kill, and answers again after a pause', async () => {
  const mariadb = await MariadbProcess.create();
  await mariadb.query('CREATE TABLE t (id INT PRIMARY KEY)');
  await mariadb.query('INSERT INTO t VALUES (1), (2)');
  await mariadb.kill();
  await expect(mariadb.query('SELECT 1')).rejects.toThrow();
  await mariadb.start();
  mariadb.pause();
  const answer = mariadb.query('SELECT COUNT(*) AS n FROM t');
  mariadb.resume();
  expect(await answer).toEqual([{ n: 2 }]);
  await mariadb.stop();
}, 60_000);
