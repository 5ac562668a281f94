/** A cluster for the tests of programs that use one: in their process, in memory, and at the mercy of the test. */

/// <reference lib="esnext.disposable" preserve="true" />

import { type Client, type ConnectOptions, connect } from "../client/index.ts";
import { startDirectory } from "../directory/index.ts";
import { type ClusterNode, type JoinOptions, join } from "../embed/index.ts";
import { warn } from "../embed/warn.ts";
import { MemoryNetwork } from "../environment/memory-network.ts";
import { standardClock, standardRandom } from "../environment/standard.ts";
import { ConclaveError } from "../errors.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import type { NodeProcessStory } from "../node/index.ts";
import { MemoryDisk } from "./memory-disk.ts";

/**
 * What `testCluster` takes.
 *
 * @example
 * ```ts
 * import { type TestClusterOptions, testCluster } from "conclave/testing";
 *
 * const options: TestClusterOptions = { nodes: 1, config: { clockDriftMax: 0.1 } };
 * await using cluster = await testCluster(options);
 * ```
 */
export interface TestClusterOptions extends Pick<JoinOptions, "machines" | "guard"> {
  /** How many nodes; they are called n1, n2, and so on. Up to 31; default 3. */
  readonly nodes?: number;
  /** In place of the key-value store: a state machine of bytes, one for each start of each node. */
  readonly machine?: () => NonNullable<JoinOptions["machine"]>;
  /** What would stand in a configuration beside names and addresses, such as `electionTimeoutMinMs`. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Called with all that a node has to tell. By default machines that fail become warnings. */
  tell?(id: string, story: NodeProcessStory): void;
}

/**
 * A cluster in this process. Nothing of it touches the network or the disk.
 *
 * @example
 * ```ts
 * import type { TestCluster } from "conclave/testing";
 *
 * async function fail(cluster: TestCluster): Promise<void> {
 *   cluster.kill((await cluster.leader()).id);
 * }
 * await fail(cluster);
 * await cluster.client.put("greeting", "the others go on");
 * ```
 */
export interface TestCluster {
  /** The names of all nodes, whether they run or not. */
  readonly ids: readonly string[];
  /** A client beside the cluster, which no partition cuts off unless it names "client". */
  readonly client: Client;
  /** A node that runs. @throws ConclaveError `INVALID_ARGUMENT` if none of that name does */
  node(id: string): ClusterNode;
  /** The node that leads, as soon as one does and says so. */
  leader(): Promise<ClusterNode>;
  /** Another client beside the cluster. It is closed with the cluster. */
  connect(options?: Omit<ConnectOptions, "nodes" | "directories" | "environment">): Promise<Client>;
  /** What a power failure does: the node is gone at once, with all that its disk had not made durable. */
  kill(id: string): void;
  /** Starts a node that was killed, with what its disk holds; one that runs is killed before, unless it just starts. */
  restart(id: string, options?: Pick<JoinOptions, "machines">): Promise<ClusterNode>;
  /**
   * Nothing gets from one group to another any more. Who is in no group is reached by everybody, as the directory is, by
   * which clients hear of another leader at once.
   */
  partition(...groups: readonly (readonly string[])[]): void;
  /** Everything gets everywhere again. */
  heal(): void;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const CLUSTER = "test";
const CLIENT = "client";
const PORT = 7_000;
/** As many as a configuration may name. */
const NODES_MAX = 31;
const DIRECTORY = "directory";
const DIRECTORY_URL = `ws://${DIRECTORY}:${PORT}`;

/**
 * Starts a cluster in this process, in memory.
 *
 * @example
 * ```ts
 * import { testCluster } from "conclave/testing";
 *
 * await using cluster = await testCluster({ nodes: 3 });
 * await cluster.client.put("greeting", "hello");
 * cluster.kill((await cluster.leader()).id);
 * console.log((await cluster.client.get("greeting"))?.value); // hello
 * ```
 *
 * @throws ConclaveError `INVALID_ARGUMENT`, and as `join`; its methods also `CLOSED`
 */
export async function testCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  const { nodes: count = 3, machine, machines = [], tell = (_id, story) => warn(story) } = options;
  if (!(Number.isInteger(count) && count >= 1 && count <= NODES_MAX)) {
    throw invalid(`A test cluster has 1 to ${NODES_MAX} nodes, not ${count}.`);
  }
  const ids = Array.from({ length: count }, (_, i) => `n${i + 1}`);
  const members = ids.map((id) => ({ id, url: `ws://${id}:${PORT}` }));
  const urls = members.map(({ url }) => url);
  const network = new MemoryNetwork();
  const disks = new Map(ids.map((id) => [id, new MemoryDisk()]));
  const running = new Map<string, ClusterNode>();
  const restarting = new Map<string, Promise<ClusterNode>>();
  const clients: Client[] = [];
  /** Who asks again when another node may lead. */
  const waiting: (() => void)[] = [];
  const wake = (): void => {
    for (const resume of waiting.splice(0)) resume();
  };
  /** Each life of a node has a place of its own: nothing that is left of an earlier one gets through. */
  const lives = new Map<string, number>();
  const placeOf = (id: string): string => `${id}#${lives.get(id) ?? 0}`;
  const standard = { clock: standardClock, random: standardRandom };

  const start = async (id: string, changes: Pick<JoinOptions, "machines"> = {}): Promise<ClusterNode> => {
    const node = await join({
      ...options,
      ...changes,
      id,
      config: { cluster: CLUSTER, nodes: members, directories: [{ url: DIRECTORY_URL }], ...options.config },
      machines: changes.machines ?? machines,
      ...(machine === undefined ? { machine: undefined } : { machine: machine() }),
      dataDir: "/data",
      tell: (story) => {
        if (story.event === "leader-elected") wake();
        tell(id, story);
      },
      environment: { ...standard, network: network.at(placeOf(id)), disk: diskOf(id) },
    });
    running.set(id, node);
    wake();
    return node;
  };
  const diskOf = (id: string): MemoryDisk => {
    const disk = disks.get(id);
    if (disk === undefined) throw unknown(id, ids);
    return disk;
  };
  let closing: Promise<void> | null = null;
  const checkOpen = (): void => {
    if (closing !== null) throw new ConclaveError("CLOSED", "The cluster is closed.");
  };
  const kill = (id: string): void => {
    checkOpen();
    const disk = diskOf(id);
    const node = running.get(id);
    if (node === undefined) return;
    running.delete(id);
    network.breakOff(placeOf(id));
    disks.set(id, disk.crash());
    lives.set(id, (lives.get(id) ?? 0) + 1);
    void node.close().catch(() => {}); // It talks to nobody, and writes on a disk that is no more.
  };
  const newClient: TestCluster["connect"] = async (given = {}) => {
    checkOpen();
    const environment = { ...standard, network: network.at(CLIENT) };
    const client = await connect({ ...given, directories: [DIRECTORY_URL], nodes: urls, environment });
    clients.push(client);
    return client;
  };
  const end = async (): Promise<void> => {
    network.heal();
    await Promise.allSettled(restarting.values());
    await Promise.all(clients.map((client) => client.close()));
    await Promise.all([...running.values()].map((node) => node.close()));
    await directory.close();
  };
  const close = (): Promise<void> => {
    closing ??= end();
    wake();
    return closing;
  };
  const directory = await startDirectory({
    environment: { ...standard, network: network.at(DIRECTORY) },
    cluster: CLUSTER,
    url: DIRECTORY_URL,
    host: DIRECTORY,
    port: PORT,
    members,
    allowedOrigins: [],
    limits: DEFAULT_LIMITS,
    tell: () => {},
  });
  await Promise.all(ids.map((id) => start(id)));
  return {
    ids,
    client: await newClient(),
    node: (id) => {
      const node = running.get(id);
      if (node === undefined) throw invalid(`The node "${id}" does not run.`);
      return node;
    },
    leader: async () => {
      for (;;) {
        checkOpen();
        const led = [...running.values()].filter(({ isLeader }) => isLeader);
        const [newest] = led.sort((a, b) => b.status().term - a.status().term);
        if (newest !== undefined) return newest;
        await new Promise<void>((resolve) => void waiting.push(resolve));
      }
    },
    connect: newClient,
    kill,
    restart: async (id, changes) => {
      checkOpen();
      const known = restarting.get(id);
      if (known !== undefined) return known;
      kill(id);
      const started = start(id, changes).finally(() => restarting.delete(id));
      restarting.set(id, started);
      return started;
    },
    partition: (...groups) => {
      checkOpen();
      checkGroups(groups, [...ids, CLIENT]);
      for (const [i, group] of groups.entries()) {
        for (const other of groups.slice(i + 1).flat()) for (const one of group) network.cut(one, other);
      }
    },
    heal: () => {
      checkOpen();
      network.heal();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function checkGroups(groups: readonly unknown[], known: readonly string[]): void {
  if (groups.length < 2) throw invalid(`A partition has two groups or more, not ${groups.length}.`);
  for (const group of groups) {
    if (!Array.isArray(group)) throw invalid(`A group is an array of names, not ${group}.`);
    for (const id of group) if (!known.includes(id)) throw unknown(id, known);
  }
}

const invalid = (message: string): ConclaveError => new ConclaveError("INVALID_ARGUMENT", message);
const unknown = (id: string, known: readonly string[]): ConclaveError =>
  invalid(`There is no node "${id}", only ${known.join(", ")}.`);
