/** What can be measured, by name. */

import type { Crew, Operation } from "./job.ts";

/** Calls of one kind as fast as they are answered. */
export interface Throughput extends Crew {
  readonly name: string;
  readonly operation: Operation;
  readonly keys: number;
  /** Where it is not what --value says. */
  readonly valueBytes?: number;
  /** Where it is not what --nodes says: then it has a cluster of its own. */
  readonly nodes?: number;
  /** What the ceiling calls the same, with as many nodes, and values as long. */
  readonly counterpart?: Counterpart;
}

export type Counterpart = keyof typeof CREWS;

/** Those of the ceiling. */
const CREWS = {
  latency: { connections: 1, outstanding: 1 },
  callers: { connections: 64, outstanding: 1 },
  pipelined: { connections: 10, outstanding: 100 },
} as const satisfies Readonly<Record<string, Crew>>;

/** The one with which a cluster is busiest. */
export const PIPELINED: Crew = CREWS.pipelined;

const WRITTEN_KEYS = 100_000;
const READ_KEYS = 10_000;
const LARGE_VALUE_BYTES = 1_024;
const CLUSTER_SIZES = [3, 5, 7];

/** What the ceiling measures. */
export const COUNTERPARTS = Object.keys(CREWS) as readonly Counterpart[];

const crews = COUNTERPARTS.map((name) => [name, CREWS[name]] as const);

/** In the order in which they are run. */
export const THROUGHPUTS: readonly Throughput[] = [
  ...crews.map(
    ([name, crew]): Throughput => ({ name, operation: "put", keys: WRITTEN_KEYS, counterpart: name, ...crew }),
  ),
  ...crews.map(([name, crew]): Throughput => ({ name: `gets-${name}`, operation: "get", keys: READ_KEYS, ...crew })),
  ...crews.map(
    ([name, crew]): Throughput => ({ name: `stale-${name}`, operation: "stale-get", keys: READ_KEYS, ...crew }),
  ),
  {
    name: "large",
    operation: "put",
    keys: READ_KEYS,
    valueBytes: LARGE_VALUE_BYTES,
    counterpart: "pipelined",
    ...PIPELINED,
  },
  ...CLUSTER_SIZES.map(
    (nodes): Throughput => ({
      name: `nodes-${nodes}`,
      operation: "put",
      keys: WRITTEN_KEYS,
      nodes,
      counterpart: "pipelined",
      ...PIPELINED,
    }),
  ),
];

/** The names of those that the ceiling has, too. */
export const COMPARED: readonly string[] = THROUGHPUTS.flatMap(({ name, counterpart }) =>
  counterpart === undefined ? [] : [name],
);

/** Connected clients that ask for nothing, and how many. */
export const CROWDS: readonly { readonly name: string; readonly clients: number }[] = [1_000, 10_000].map(
  (clients) => ({
    name: `clients-${clients}`,
    clients,
  }),
);

/** Those that take minutes, or a machine with much room, and are run only when asked for. */
export const ON_REQUEST: readonly string[] = ["clients-10000", "growth"];

/** Every name, in the order in which they are run. */
export const WORKLOADS: readonly string[] = [
  ...THROUGHPUTS.map(({ name }) => name),
  "transfer",
  "failover",
  "idle",
  ...CROWDS.map(({ name }) => name),
  "growth",
];

export const DEFAULT_WORKLOADS: readonly string[] = WORKLOADS.filter((name) => !ON_REQUEST.includes(name));

/** The workload of that name, or those of the group: `gets` for gets-latency and the others. */
export const workloadsNamed = (name: string): readonly string[] =>
  WORKLOADS.filter((workload) => workload === name || workload.startsWith(`${name}-`));
