/** A node in a program of the user's own: one call, and the program has replicated state. */

/// <reference lib="esnext.disposable" preserve="true" />

import type { Server } from "node:http";
import * as path from "node:path";
import { type Client, connect, type NodeStatus } from "../client/index.ts";
import { type Config, hostOf, parseConfig, portOf, readConfig } from "../config/index.ts";
import { withLoopback } from "../environment/loopback.ts";
import { isProduction } from "../environment/mode.ts";
import { realEnvironment } from "../environment/real.ts";
import { networkOn } from "../environment/ws.ts";
import type { Environment } from "../environment.ts";
import { ConclaveError } from "../errors.ts";
import { type AnyMachine, KeyValueMachine, Machines, RECIPES, type StateMachine } from "../machine/index.ts";
import { type NodeProcessStory, type RunningNode, startNode } from "../node/index.ts";
import { closeAll, startDirectories } from "./directories.ts";
import { warn } from "./warn.ts";

/**
 * What `join` takes.
 *
 * @example
 * ```ts
 * import { type JoinOptions, join } from "conclave";
 *
 * const options: JoinOptions = { id: "n1", peers: { n1: url }, dataDir: folder, cluster: "demo" };
 * await using node = await join(options);
 * ```
 */
export interface JoinOptions {
  /** Which node of the cluster this is. */
  readonly id: string;
  /** The cluster: a file such as `cluster.config.json`, or what would stand in it. */
  readonly config?: string | object;
  /** In place of a configuration: the nodes that the cluster begins with, by id, and where each is reached. */
  readonly peers?: Readonly<Record<string, string>>;
  /** The name of the cluster, if `peers` are given. Default "conclave". */
  readonly cluster?: string;
  /** Where this node is reached, if it is none of the configured ones, or has moved. */
  readonly url?: string;
  /** Members of a running cluster by which a new node is taken in. */
  readonly join?: readonly string[];
  /** The folder for what nodes keep; each has a folder of its own in it. */
  readonly dataDir: string;
  /** What the cluster replicates beside the key-value store. */
  readonly machines?: readonly AnyMachine[] | undefined;
  /** In place of the key-value store: a state machine of bytes, which `client.command` and `client.query` speak to. */
  readonly machine?: StateMachine | undefined;
  /**
   * A server that the program runs already: others reach this node through it, at the path of the node's URL, and so by
   * its port, and its TLS. It is not closed with the node. Other WebSockets on it have to leave that path alone: those of
   * `ws` do if they are made with `noServer`.
   */
  readonly server?: Server;
  /** What happens to the node, for a log. By default machines that fail become warnings. */
  readonly tell?: (story: NodeProcessStory) => void;
  /** Do commands that look at the clock, or draw random numbers, throw? By default unless NODE_ENV is "production". */
  readonly guard?: boolean;
  /** The outside world; the real one by default. */
  readonly environment?: Environment;
}

/**
 * A node of the cluster, in this process.
 *
 * @example
 * ```ts
 * import type { ClusterNode } from "conclave";
 *
 * async function greet({ id, client, isLeader }: ClusterNode): Promise<void> {
 *   await client.put(`greetings/${id}`, isLeader ? "I lead" : "I follow");
 * }
 * await greet(cluster.node("n1"));
 * ```
 */
export interface ClusterNode {
  readonly id: string;
  /** Talks to the cluster; while this node leads, without a socket. It is closed with the node. */
  readonly client: Client;
  /** Does this node lead, as far as it knows? */
  readonly isLeader: boolean;
  /** Why the node has stopped by itself: its disk has failed, or it was removed from the cluster. Null once it was closed. */
  readonly stopped: Promise<ConclaveError | null>;
  status(): NodeStatus;
  /** Hands leadership over if this node has it, and stops. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Runs a node of a cluster, and its directory if the configuration says that this node runs it, in this process.
 *
 * @example
 * ```ts
 * import { join } from "conclave";
 *
 * // Of three nodes each names all: { a: "ws://10.0.0.1:7101", b: "ws://10.0.0.2:7101", c: "ws://10.0.0.3:7101" }
 * await using node = await join({ id: "a", peers: { a: url }, dataDir: folder });
 * await node.client.put("greeting", "hello");
 * console.log(node.isLeader, (await node.client.get("greeting"))?.value); // true hello
 * ```
 *
 * @throws ConclaveError as `startNode` and `startDirectory`; `CONFIG_INVALID`, `INVALID_ARGUMENT`
 */
export async function join(options: JoinOptions): Promise<ClusterNode> {
  const { id, tell = warn, environment = realEnvironment } = options;
  const config = await configOf(options);
  const configured = config.nodes.find((node) => node.id === id);
  const url = options.url ?? configured?.url;
  if (url === undefined) {
    const known = config.nodes.map((node) => node.id).join(", ");
    throw new ConclaveError("CONFIG_INVALID", `No node "${id}" is configured, only ${known}; give a new one its url.`);
  }
  const outer = options.server === undefined ? environment.network : networkOn(options.server, new URL(url).pathname);
  const { listening, calling } = withLoopback(outer, url);
  const machine = new Machines(options.machine ?? new KeyValueMachine(), [...RECIPES, ...(options.machines ?? [])], {
    isGuarded: options.guard ?? !isProduction(),
  });
  let hasEnded = false;
  let stop: (why: ConclaveError | null) => void = () => {};
  const stopped = new Promise<ConclaveError | null>((resolve) => {
    stop = (why) => {
      hasEnded = true;
      resolve(why);
    };
  });
  const directories = await startDirectories(config, id, environment, () => () => {});
  let node: RunningNode;
  try {
    node = await startNode({
      environment: { ...environment, network: listening },
      cluster: config.cluster,
      id,
      members: config.nodes,
      url,
      join: options.join,
      directories: config.directories.map((directory) => directory.url),
      host: hostOf({ url, host: options.url === undefined ? configured?.host : undefined }),
      port: portOf(url),
      allowedOrigins: config.allowedOrigins,
      dataFolder: path.join(options.dataDir, id),
      machine,
      timing: config,
      clockDriftMax: config.clockDriftMax,
      limits: config.limits,
      tell,
      onFatal: (error) => stop(error),
    });
  } catch (error) {
    await closeAll(directories);
    throw error;
  }
  const client = await connect({
    directories: config.directories.map((directory) => directory.url),
    nodes: [url, ...config.nodes.map((member) => member.url)],
    ownNode: url,
    cluster: config.cluster,
    keyBytesMax: config.limits.keyBytesMax,
    valueBytesMax: config.limits.valueBytesMax,
    messageBytesMax: config.limits.messageBytesMax,
    environment: { ...environment, network: calling },
  });
  let closing: Promise<void> | null = null;
  const close = async (): Promise<void> => {
    await client.close();
    await node.close();
    await closeAll(directories);
    stop(null);
  };
  const closeOnce = (): Promise<void> => {
    hasEnded = true;
    closing ??= close();
    return closing;
  };
  /** A core that stands still takes itself for what it was last; whoever has ended, or is about to, leads nobody. */
  const status = (): NodeStatus => {
    const last = node.status();
    return hasEnded && last.role === "leader" ? { ...last, role: "follower", leader: null } : last;
  };
  return {
    id,
    client,
    get isLeader() {
      return status().role === "leader";
    },
    stopped,
    status,
    close: closeOnce,
    [Symbol.asyncDispose]: closeOnce,
  };
}

async function configOf({ config, peers, cluster = "conclave" }: JoinOptions): Promise<Config> {
  if ((config === undefined) === (peers === undefined)) {
    throw new ConclaveError("INVALID_ARGUMENT", "Give a configuration, or the peers: one of the two.");
  }
  if (typeof config === "string") return readConfig(config);
  if (config !== undefined) return parseConfig(config, "the configuration");
  const nodes = Object.entries(peers ?? {}).map(([id, url]) => ({ id, url }));
  // A configuration names a directory, and this cluster does without.
  return { ...parseConfig({ cluster, nodes, directories: [{ url: NO_DIRECTORY }] }, "peers"), directories: [] };
}

const NO_DIRECTORY = "ws://none.invalid:1";
