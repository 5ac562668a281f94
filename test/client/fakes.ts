/** Nodes and directories that a test scripts, for the tests of the client: real links, and a real replicated state. */

import { ActorSystem, type Answer, type Peer } from "../../src/actor/index.ts";
import { freePorts } from "../../src/cli/ports.ts";
import {
  type Client,
  ConclaveError,
  type ConnectOptions,
  connect,
  KeyValueMachine,
  realEnvironment,
} from "../../src/index.ts";
import {
  type CommandBatch,
  decodeList,
  decodePayload,
  encodeList,
  encodeOutcomes,
  encodePayload,
} from "../../src/machine/commands.ts";
import { Replica } from "../../src/machine/index.ts";
import { decodeCommand, decodeQuery, encodeQuery, type KeyValueQuery } from "../../src/machine/key-value-protocol.ts";
import type { ChangesBounds } from "../../src/machine/recent-changes.ts";
import { decodeStep } from "../../src/machine/restoration-steps.ts";
import { clientProtocol } from "../../src/protocol/client.ts";
import {
  DIRECTORY_ACTOR,
  type DirectoryMessage,
  directoryProtocol,
  type Member,
} from "../../src/protocol/directory.ts";
import { type LeaderView, NO_LEADER } from "../../src/protocol/leader.ts";
import {
  type Consistency,
  type MemberView,
  NODE_ACTOR,
  type NodeAnswer,
  type NodeMessage,
  nodeProtocol,
  QUERIES_MAX,
} from "../../src/protocol/node.ts";
import { Events } from "../support/network.ts";

type NodeAnswerTo = Answer<NodeAnswer>;

/** A batch of commands as a node got it. */
export interface Batch extends Omit<CommandBatch, "commands"> {
  readonly commands: readonly Uint8Array[];
  /** `put a`, and so on; of a restoration the steps. */
  readonly said: readonly string[];
}

export interface Read {
  readonly consistency: Consistency;
  readonly anywhere: boolean;
  readonly minIndex: number;
  readonly queries: readonly Uint8Array[];
}

export const refuse = (code: ConclaveError["code"], details = {}): ConclaveError =>
  new ConclaveError(code, `scripted: ${code}`, { details });

/** A question that may wait for its answer. */
export interface Poll {
  readonly id: number;
  readonly waitMs: number;
  readonly query: KeyValueQuery;
}

/** What all of the nodes replicate. */
export class State {
  readonly replica: Replica;
  /** Called whenever something was applied. */
  readonly listeners = new Set<() => void>();
  #index = 0;

  constructor(bounds?: ChangesBounds) {
    this.replica = new Replica(new KeyValueMachine(bounds), () => {});
  }

  /** The last entry that was applied. */
  get index(): number {
    return this.#index;
  }

  open(): number {
    this.replica.apply(++this.#index, encodePayload({ type: "open-session" }));
    return this.#index;
  }

  expire(session: number): void {
    const next = [...this.replica.sessions()].find(({ id }) => id === session)?.next ?? 0;
    this.replica.apply(++this.#index, encodePayload({ type: "expire-sessions", sessions: [{ id: session, next }] }));
  }

  apply(batch: CommandBatch): NodeAnswer | ConclaveError {
    const applied = this.replica.apply(++this.#index, encodePayload(batch));
    for (const listener of this.listeners) listener();
    if (applied?.type !== "outcomes") return refuse("SESSION_EXPIRED");
    return { type: "outcomes", index: this.#index, outcomes: encodeOutcomes(applied.outcomes) };
  }
}

/** Answers a question as a script says; true if it did, or wants it to stay open. */
type Script<Q> = (question: Q, answer: NodeAnswerTo) => boolean;

export class FakeNode {
  readonly id: string;
  readonly url: string;
  readonly batches = new Events<Batch>();
  readonly reads = new Events<Read>();
  readonly polls = new Events<Poll>();
  /** Questions that were taken back. */
  readonly pollsEnded = new Events<number>();
  readonly kept = new Events<number>();
  readonly opened = new Events<number>();
  readonly subscribed = new Events<string>();
  readonly #state: State;
  readonly #subscribers = new Map<Peer, string>();
  #system: ActorSystem | null = null;
  /** What it answers to those who subscribe. */
  view: LeaderView = NO_LEADER;
  /** What it answers to those who ask for the members; null for nothing of use. */
  members: MemberView[] | null = null;
  /** Tried first, in this order; each is asked until it says false, and then forgotten. */
  commandScript: Script<Batch>[] = [];
  readScript: Script<Read>[] = [];
  pollScript: Script<Poll>[] = [];
  openScript: Script<null>[] = [];
  statusScript: Script<null>[] = [];
  /** For what else it may be asked. */
  otherScript: Script<NodeMessage>[] = [];
  /** Snapshots that it need not keep any longer. */
  readonly released = new Events<number>();

  constructor(id: string, port: number, state: State) {
    this.id = id;
    this.url = `ws://127.0.0.1:${port}`;
    this.#state = state;
  }

  /** The view in which this node leads. */
  leading(term: number): LeaderView {
    return { term, leader: { id: this.id, url: this.url } };
  }

  async start(cluster = "test"): Promise<void> {
    const { id, url } = this;
    const backoff = { firstMs: 5, longestMs: 50 };
    const system = new ActorSystem({ environment: realEnvironment, cluster, name: id, url, backoff });
    this.#system = system;
    system.spawn(NODE_ACTOR, nodeProtocol, (context) => (batch) => {
      for (const delivery of batch) {
        if (delivery.type === "link" && !delivery.up) this.#subscribers.delete(delivery.peer);
        if (delivery.type !== "message") continue;
        const { message, sender, answer } = delivery;
        if (message.type === "keep-session") this.kept.add(message.session);
        if (message.type === "end-poll") this.pollsEnded.add(message.id);
        if (message.type === "release-snapshot") this.released.add(message.index);
        if (answer === null) continue;
        switch (message.type) {
          case "commands":
            this.#commands(message.batch, answer);
            break;
          case "queries":
            this.#queries({ ...message, queries: decodeList(message.queries, QUERIES_MAX) }, answer);
            break;
          case "poll":
            this.#poll({ ...message, query: decodeQuery(message.query) }, answer);
            break;
          case "open-session": {
            if (play(this.openScript, null, answer)) break;
            const session = this.#state.open();
            this.opened.add(session);
            answer.ok({ type: "session", session });
            break;
          }
          case "subscribe":
            if (sender.peer !== null) {
              this.#subscribers.set(sender.peer, sender.name);
              context.watch(sender.peer);
            }
            answer.ok({ type: "leader", view: this.view });
            this.subscribed.add(sender.name);
            break;
          case "status":
            if (play(this.statusScript, null, answer)) break;
            answer.ok({ type: "status", status: { ...STATUS, id } });
            break;
          case "members":
            answer.ok(this.members === null ? { type: "done" } : { type: "members", members: this.members });
            break;
          default:
            if (!play(this.otherScript, message, answer)) answer.ok({ type: "done" });
        }
      }
    });
    await system.listen({ host: "127.0.0.1", port: Number(new URL(url).port) });
  }

  async stop(): Promise<void> {
    await this.#system?.close();
    this.#system = null;
    this.#subscribers.clear();
  }

  push(view: LeaderView): void {
    this.view = view;
    for (const [peer, name] of this.#subscribers) peer.ref(name, clientProtocol).tell({ type: "leader", view });
  }

  #commands(bytes: Uint8Array, answer: NodeAnswerTo): void {
    const payload = decodePayload(bytes);
    if (!("commands" in payload)) throw new Error(`a client proposed ${payload.type}`);
    const said = payload.commands.map((command) => {
      if (payload.type === "restoration") return decodeStep(command).type;
      const decoded = decodeCommand(command);
      return decoded.op === "transaction" ? decoded.op : `${decoded.op} ${decoded.key}`;
    });
    const batch = { ...payload, said };
    if (!play(this.commandScript, batch, answer)) this.apply(batch, answer);
    this.batches.add(batch);
  }

  /** What a leader with a healthy majority does. */
  apply(batch: Batch, answer: NodeAnswerTo | null): void {
    const result = this.#state.apply(batch);
    if (result instanceof ConclaveError) answer?.fail(result);
    else answer?.ok(result);
  }

  #queries(read: Read, answer: NodeAnswerTo): void {
    if (!play(this.readScript, read, answer)) this.serve(read, answer);
    this.reads.add(read);
  }

  #poll(poll: Poll, answer: NodeAnswerTo): void {
    if (!play(this.pollScript, poll, answer)) this.park(poll, answer);
    this.polls.add(poll);
  }

  /** Answers from the state, once it can. */
  park({ query }: Poll, answer: NodeAnswerTo): void {
    const look = (): void => {
      const result = this.#state.replica.poll(encodeQuery(query));
      if (result === null) return;
      this.#state.listeners.delete(look);
      answer.ok({ type: "polled", result });
    };
    this.#state.listeners.add(look);
    look();
  }

  /** Answers from the state. */
  serve(read: Read, answer: NodeAnswerTo): true {
    const results = read.queries.map((query) => this.#state.replica.query(query));
    answer.ok({ type: "results", index: this.#state.index, results: encodeList(results) });
    return true;
  }
}

function play<Q>(scripts: Script<Q>[], question: Q, answer: NodeAnswerTo): boolean {
  while (scripts.length > 0) {
    if (scripts[0]?.(question, answer) === true) return true;
    scripts.shift();
  }
  return false;
}

const STATUS = {
  role: "follower",
  term: 1,
  leader: null,
  lastIndex: 0,
  commitIndex: 0,
  appliedIndex: 0,
  snapshotIndex: 0,
  sessions: 0,
  state: "sound",
  lagMs: 0,
  links: {},
} as const;

/** Plays a script once, and then no more. */
export function once<Q>(script: (question: Q, answer: NodeAnswerTo) => void): Script<Q> {
  return times(1, script);
}

export function times<Q>(count: number, script: (question: Q, answer: NodeAnswerTo) => void): Script<Q> {
  let left = count;
  return (question, answer) => {
    if (left-- <= 0) return false;
    script(question, answer);
    return true;
  };
}

/** Fails the next question. */
export const failing = (error: ConclaveError): Script<unknown> => once((_question, answer) => answer.fail(error));

/** Leaves every question open. */
export const silent: Script<unknown> = () => true;

export class FakeDirectory {
  readonly url: string;
  view: LeaderView = NO_LEADER;
  members: Member[] = [];
  readonly subscribed = new Events<string>();
  readonly #subscribers = new Map<Peer, string>();
  #system: ActorSystem | null = null;

  constructor(port: number) {
    this.url = `ws://127.0.0.1:${port}`;
  }

  async start(): Promise<void> {
    const { url } = this;
    const backoff = { firstMs: 5, longestMs: 50 };
    const system = new ActorSystem({
      environment: realEnvironment,
      cluster: "test",
      name: DIRECTORY_ACTOR,
      url,
      backoff,
    });
    this.#system = system;
    system.spawn(DIRECTORY_ACTOR, directoryProtocol, (context) => (batch) => {
      for (const delivery of batch) {
        if (delivery.type === "link" && !delivery.up) this.#subscribers.delete(delivery.peer);
        if (delivery.type !== "message") continue;
        const { sender, answer } = delivery;
        const message: DirectoryMessage = delivery.message;
        if (message.type === "subscribe" && sender.peer !== null) {
          this.#subscribers.set(sender.peer, sender.name);
          context.watch(sender.peer);
          answer?.ok({ type: "leader", view: this.view });
          this.subscribed.add(sender.name);
        } else if (message.type === "list") answer?.ok({ type: "members", members: this.members });
      }
    });
    await system.listen({ host: "127.0.0.1", port: Number(new URL(url).port) });
  }

  async stop(): Promise<void> {
    await this.#system?.close();
    this.#system = null;
    this.#subscribers.clear();
  }

  push(view: LeaderView): void {
    this.view = view;
    for (const [peer, name] of this.#subscribers) peer.ref(name, clientProtocol).tell({ type: "leader", view });
  }
}

/** Two nodes, a directory that names the first of them leader of term 1, and clients. */
export interface Stage {
  readonly state: State;
  readonly n1: FakeNode;
  readonly n2: FakeNode;
  readonly directory: FakeDirectory;
  /** A client that knows the directory, and what else the options say. */
  client(options?: ConnectOptions): Promise<Client>;
  /** A port that nobody listens on. */
  readonly deadUrl: string;
}

export async function onStage(body: (stage: Stage) => Promise<void>, bounds?: ChangesBounds): Promise<void> {
  const [first = 0, second = 0, third = 0, dead = 0] = await freePorts(4);
  const state = new State(bounds);
  const [n1, n2] = [new FakeNode("n1", first, state), new FakeNode("n2", second, state)];
  const directory = new FakeDirectory(third);
  for (const node of [n1, n2]) {
    node.view = n1.leading(1);
    directory.members.push({ name: node.id, url: node.url });
  }
  directory.view = n1.leading(1);
  await Promise.all([n1.start(), n2.start(), directory.start()]);
  const clients: Client[] = [];
  try {
    await body({
      state,
      n1,
      n2,
      directory,
      deadUrl: `ws://127.0.0.1:${dead}`,
      client: async (options = { directories: [directory.url] }) => {
        const client = await connect(options);
        clients.push(client);
        return client;
      },
    });
  } catch (error) {
    // The test runner can't print an error that has details of its own.
    throw error instanceof ConclaveError ? new Error(`${error.code}: ${error.message}`, { cause: error }) : error;
  } finally {
    await Promise.all(clients.map((client) => client.close()));
    await Promise.all([n1.stop(), n2.stop(), directory.stop()]);
  }
}
