/** The sections of INFO, in their order, and which of them a request asks for. */
import type { Node } from '../node.ts';
import { clientFields } from './clients.ts';
import { commandFields, errorFields, latencyFields } from './commands.ts';
import { type Field, sectionText } from './fields.ts';
import { mantisFields } from './mantis.ts';
import { memoryFields } from './memory.ts';
import { persistenceFields } from './persistence.ts';
import { serverFields } from './server.ts';
import { keyspaceFields, processorFields, replicationFields, statisticsFields } from './stats.ts';

interface Section {
  readonly title: string;
  /** Shown when no section is asked for. */
  readonly isDefault: boolean;
  fields(node: Node): Field[];
}

const SECTIONS: Readonly<Record<string, Section>> = {
  server: { title: 'Server', isDefault: true, fields: serverFields },
  clients: { title: 'Clients', isDefault: true, fields: clientFields },
  memory: { title: 'Memory', isDefault: true, fields: memoryFields },
  persistence: { title: 'Persistence', isDefault: true, fields: persistenceFields },
  stats: { title: 'Stats', isDefault: true, fields: statisticsFields },
  replication: { title: 'Replication', isDefault: true, fields: replicationFields },
  cpu: { title: 'CPU', isDefault: true, fields: processorFields },
  modules: { title: 'Modules', isDefault: true, fields: () => [] },
  commandstats: { title: 'Commandstats', isDefault: false, fields: commandFields },
  errorstats: { title: 'Errorstats', isDefault: true, fields: errorFields },
  latencystats: { title: 'Latencystats', isDefault: false, fields: latencyFields },
  cluster: { title: 'Cluster', isDefault: true, fields: () => [['cluster_enabled', 0]] },
  keyspace: { title: 'Keyspace', isDefault: true, fields: keyspaceFields },
  mantis: { title: 'Mantis', isDefault: true, fields: mantisFields },
};

/** The text of INFO for section names, `default`, `all` and `everything`, in any letter case; unknown names stand for nothing. */
export function infoText(node: Node, names: readonly string[]): string {
  const asked = new Set(names.map((name) => name.toLowerCase()));
  const isEverything = asked.has('everything');
  const isAll = isEverything || asked.has('all');
  const isDefault = asked.size === 0 || asked.has('default');
  const texts: string[] = [];
  for (const [name, section] of Object.entries(SECTIONS)) {
    const isInAll = name === 'modules' ? isEverything : isAll;
    if (asked.has(name) || isInAll || (isDefault && section.isDefault)) {
      texts.push(sectionText(section.title, section.fields(node)));
    }
  }
  return texts.join('\r\n');
}
