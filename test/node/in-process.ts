/** A cluster within the process of its test: real sockets and files, and nodes that can be stopped one by one. */

import { mkdtempSync, rmSync } from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { type ActorRef, ActorSystem, type Protocol } from "../../src/actor/index.ts";
import { freePorts } from "../../src/cli/ports.ts";
import {
  type Client,
  ConclaveError,
  type ConnectOptions,
  connect,
  DEFAULT_LIMITS,
  type DirectoryOptions,
  type Environment,
  KeyValueMachine,
  type Limits,
  type Member,
  type NodeProcessStory,
  type RunningDirectory,
  type RunningNode,
  realEnvironment,
  type StateMachine,
  startDirectory,
  startNode,
  type Timing,
} from "../../src/index.ts";
import { NODE_ACTOR, nodeProtocol } from "../../src/protocol/node.ts";
import type { Raft } from "../../src/raft/index.ts";
import { Events } from "../support/network.ts";

export const CLUSTER = "test";
const TIMING: Timing = { heartbeatMs: 50, electionTimeoutMinMs: 300, electionTimeoutMaxMs: 600 };

type DirectoryStory = Parameters<DirectoryOptions["tell"]>[0];

export interface NodeChanges {
  readonly environment?: Environment;
  readonly machine?: StateMachine;
  readonly limits?: Partial<Limits>;
  readonly members?: readonly Member[];
  readonly directories?: readonly string[];
  /** Where it is reached from now on, if that is not where it was. */
  readonly url?: string;
  /** Members to be taken in by. */
  readonly join?: readonly string[];
  readonly forceNewCluster?: string;
  readonly clockDriftMax?: number;
  readonly tell?: (story: NodeProcessStory) => void;
  readonly onStart?: (raft: Raft) => void;
}

export class InProcess {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), "conclave-"));
  readonly members: readonly Member[];
  readonly directoryUrl: string;
  readonly nodes = new Map<string, RunningNode>();
  /** What each node told, over all of its lives. */
  readonly stories = new Map<string, Events<NodeProcessStory>>();
  readonly directoryStories = new Events<DirectoryStory>();
  readonly fatal = new Events<{ readonly id: string; readonly error: ConclaveError }>();
  readonly timing: Timing;
  readonly #limits: Limits;
  readonly #closing: (() => Promise<void>)[] = [];
  #directory: RunningDirectory | null = null;

  private constructor(ports: readonly number[], limits: Partial<Limits>, timing: Partial<Timing>) {
    const [directoryPort, ...nodePorts] = ports;
    this.directoryUrl = `ws://127.0.0.1:${directoryPort}`;
    this.members = nodePorts.map((port, i) => ({ id: `n${i + 1}`, url: `ws://127.0.0.1:${port}` }));
    this.timing = { ...TIMING, ...timing };
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    for (const { id } of this.members) this.stories.set(id, new Events());
  }

  /** Nothing runs yet. */
  static async prepare(nodes: number, limits: Partial<Limits> = {}, timing: Partial<Timing> = {}): Promise<InProcess> {
    return new InProcess(await freePorts(nodes + 1), limits, timing);
  }

  get ids(): string[] {
    return this.members.map(({ id }) => id);
  }

  urlOf(id: string): string {
    const url = this.members.find((member) => member.id === id)?.url;
    if (url === undefined) throw new Error(`${id} is no member`);
    return url;
  }

  node(id: string): RunningNode {
    const node = this.nodes.get(id);
    if (node === undefined) throw new Error(`${id} does not run`);
    return node;
  }

  told(id: string): Events<NodeProcessStory> {
    const stories = this.stories.get(id);
    if (stories === undefined) throw new Error(`${id} is no member`);
    return stories;
  }

  async start(id: string, changes: NodeChanges = {}): Promise<RunningNode> {
    const node = await startNode({
      environment: changes.environment ?? realEnvironment,
      cluster: CLUSTER,
      id,
      members: changes.members ?? this.members,
      directories: changes.directories ?? [this.directoryUrl],
      url: changes.url,
      join: changes.join,
      forceNewCluster: changes.forceNewCluster,
      host: "127.0.0.1",
      port: Number(new URL(changes.url ?? this.urlOf(id)).port),
      allowedOrigins: [],
      dataFolder: path.join(this.folder, id),
      machine: changes.machine ?? new KeyValueMachine(),
      timing: this.timing,
      limits: { ...this.#limits, ...changes.limits },
      clockDriftMax: changes.clockDriftMax,
      tell: changes.tell ?? ((story) => this.told(id).add(story)),
      onFatal: (error) => this.fatal.add({ id, error }),
      ...(changes.onStart === undefined ? {} : { onStart: changes.onStart }),
    });
    this.nodes.set(id, node);
    return node;
  }

  async startAll(): Promise<void> {
    await Promise.all(this.ids.map((id) => this.start(id)));
  }

  async stop(id: string): Promise<void> {
    const node = this.node(id);
    this.nodes.delete(id);
    await node.close();
  }

  wipe(id: string): void {
    rmSync(path.join(this.folder, id), { recursive: true });
  }

  async startDirectory(): Promise<void> {
    this.#directory = await startDirectory({
      environment: realEnvironment,
      cluster: CLUSTER,
      url: this.directoryUrl,
      host: "127.0.0.1",
      port: Number(new URL(this.directoryUrl).port),
      members: this.members,
      allowedOrigins: [],
      limits: this.#limits,
      tell: (story) => this.directoryStories.add(story),
    });
  }

  async stopDirectory(): Promise<void> {
    await this.#directory?.close();
    this.#directory = null;
  }

  /** A client that knows the nodes, not the directory. */
  async client(options: Partial<ConnectOptions> = {}): Promise<Client> {
    const client = await connect({ nodes: this.members.map(({ url }) => url), ...options });
    this.#closing.push(() => client.close());
    return client;
  }

  /** An actor system without an address, as a client has it. */
  system(name = "stranger", options: { readonly url?: string; readonly incarnation?: string } = {}): ActorSystem {
    const system = new ActorSystem({
      environment: realEnvironment,
      cluster: CLUSTER,
      name,
      backoff: { firstMs: 5, longestMs: 50 },
      ...options,
    });
    this.#closing.push(() => system.close());
    return system;
  }

  /** The node actor of a member, as somebody else's process sees it. */
  ref(system: ActorSystem, id: string): ActorRef<NodeMessage, NodeAnswer> {
    return system.ref(`${this.urlOf(id)}/${NODE_ACTOR}`, nodeProtocol);
  }

  /** The node that leads, once one does and `fits`. */
  async leader(fits: (id: string) => boolean = () => true): Promise<string> {
    for (;;) {
      const found = [...this.nodes].find(([id, node]) => node.status().role === "leader" && fits(id));
      if (found !== undefined) return found[0];
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#closing.map((close) => close()));
    await Promise.all([...this.nodes.values()].map((node) => node.close()));
    await this.stopDirectory();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export type NodeMessage = MessageOf<typeof nodeProtocol>;
export type NodeAnswer = AnswerOf<typeof nodeProtocol>;
type MessageOf<P> = P extends Protocol<infer M, unknown> ? M : never;
type AnswerOf<P> = P extends Protocol<infer _M, infer A> ? A : never;

/** Runs a test with a cluster that is gone afterwards; only what was prepared, or all of it, runs. */
export async function withNodes(
  nodes: number,
  body: (cluster: InProcess) => Promise<void>,
  options: { readonly limits?: Partial<Limits>; readonly timing?: Partial<Timing>; readonly idle?: boolean } = {},
): Promise<void> {
  const cluster = await InProcess.prepare(nodes, options.limits, options.timing);
  try {
    if (options.idle !== true) await cluster.startAll();
    await body(cluster);
  } catch (error) {
    // The test runner can't print an error that has details of its own.
    throw error instanceof ConclaveError ? new Error(`${error.code}: ${error.message}`, { cause: error }) : error;
  } finally {
    await cluster.close();
  }
}
