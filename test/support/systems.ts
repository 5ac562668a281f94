/** For the tests of actors: several actor systems in one process, over real sockets. */

import * as net from "node:net";
import {
  type ActorContext,
  type ActorRef,
  type ActorStory,
  ActorSystem,
  type Behaviour,
  type Delivery,
  type Peer,
  type Protocol,
  packed,
  type SystemOptions,
} from "../../src/actor/index.ts";
import { standardClock, standardRandom } from "../../src/environment/standard.ts";
import { network } from "../../src/environment/ws.ts";
import type { ClientEnvironment, Network } from "../../src/environment.ts";
import { ConclaveError } from "../../src/errors.ts";
import * as v from "../../src/shape.ts";
import { Events } from "./network.ts";

export const ASK = { timeoutMs: 5_000 } as const;

/** Frame kinds of the actors' layer, as they are on the wire. */
export const Kind = { tell: 16, ask: 17, answer: 18, error: 19 } as const;

/** What the actor of these tests is told to do with a message. */
const questionShape = v.object({
  do: v.picklist(["echo", "fail", "throw", "reject", "keep", "wait", "large"]),
  value: v.optional(v.number(), 0),
});
export type Question = v.InferOutput<typeof questionShape>;

export const protocol: Protocol<Question, number | string> = {
  message: packed(questionShape),
  answer: packed(v.custom<number | string>((value) => ["number", "string"].includes(typeof value), "an answer")),
};

export const echo = (value: number): Question => ({ do: "echo", value });

export type Seen =
  | { readonly type: "message"; readonly value: number; readonly from: string; readonly peer: Peer | null }
  | { readonly type: "link"; readonly up: boolean; readonly url: string | null; readonly peer: Peer }
  | { readonly type: "internal"; readonly event: string };

/** An actor that does what it is told and remembers what it saw. */
export interface Obedient {
  readonly seen: Events<Seen>;
  /** How many deliveries each batch had. */
  readonly batches: number[];
  readonly context: ActorContext<string>;
  readonly ref: ActorRef<Question, number | string>;
  /** Lets the handlers that were told to wait go on. */
  goOn(): void;
}

export function obedient(system: ActorSystem, name = "actor"): Obedient {
  const seen = new Events<Seen>();
  const batches: number[] = [];
  const gate = Promise.withResolvers<void>();
  let context: ActorContext<string> | undefined;
  const ref = system.spawn<Question, number | string, string>(name, protocol, (given) => {
    context = given;
    const behaviour: Behaviour<Question, number | string, string> = (batch) => {
      batches.push(batch.length);
      const waits: Promise<void>[] = [];
      for (const delivery of batch) {
        const wait = obey(delivery, seen, gate.promise);
        if (wait !== undefined) waits.push(wait);
      }
      return waits.length === 0 ? undefined : Promise.all(waits).then(() => {});
    };
    return behaviour;
  });
  if (context === undefined) throw new Error("spawn did not create the actor");
  return { seen, batches, context, ref, goOn: () => gate.resolve() };
}

function obey(
  delivery: Delivery<Question, number | string, string>,
  seen: Events<Seen>,
  gate: Promise<void>,
): Promise<void> | undefined {
  if (delivery.type === "link") {
    const { up, url, peer } = delivery;
    seen.add({ type: "link", up, url, peer });
    return undefined;
  }
  if (delivery.type === "internal") {
    seen.add(delivery);
    return undefined;
  }
  const { message, sender, answer } = delivery;
  seen.add({ type: "message", value: message.value, from: sender.name, peer: sender.peer });
  switch (message.do) {
    case "echo":
      answer?.ok(message.value);
      return undefined;
    case "fail":
      answer?.fail(new ConclaveError("NOT_LEADER", "n2 leads", { details: { leader: "n2" } }));
      return undefined;
    case "throw":
      throw new Error("it broke");
    case "reject":
      return Promise.reject(new Error("it broke later"));
    case "keep":
      return undefined;
    case "wait":
      return gate.then(() => answer?.ok(message.value));
    case "large":
      answer?.ok("x".repeat(message.value));
      return undefined;
  }
}

export const valuesSeen = ({ seen }: Obedient): number[] =>
  seen.all.flatMap((event) => (event.type === "message" ? [event.value] : []));

export const linksSeen = ({ seen }: Obedient): boolean[] =>
  seen.all.flatMap((event) => (event.type === "link" ? [event.up] : []));

/** The network, counting the connections that stand. */
export class CountingNetwork implements Network {
  readonly changes = new Events<number>();
  #open = 0;
  #connecting = 0;
  #dialled = 0;

  /** Connections that stand or are being made, whoever dialled. */
  get open(): number {
    return this.#open;
  }

  /** Those of them that are still being made. */
  get connecting(): number {
    return this.#connecting;
  }

  /** How often this side dialled. */
  get dialled(): number {
    return this.#dialled;
  }

  connect: Network["connect"] = (url, options, handlers) => {
    let connecting = 1;
    const connected = (): void => {
      this.#connecting -= connecting;
      connecting = 0;
    };
    this.#dialled++;
    this.#connecting++;
    this.#count(1);
    return network.connect(url, options, {
      ...handlers,
      onOpen: () => {
        connected();
        handlers.onOpen();
        this.#count(0);
      },
      onClose: (code, reason) => {
        connected();
        handlers.onClose(code, reason);
        this.#count(-1);
      },
    });
  };

  listen: Network["listen"] = (options, accept) =>
    network.listen(options, (socket) => {
      this.#count(1);
      const { handle } = socket;
      socket.handle = (handlers) =>
        handle({
          ...handlers,
          onClose: (code, reason) => {
            handlers.onClose(code, reason);
            this.#count(-1);
          },
        });
      accept(socket);
    });

  #count(by: number): void {
    this.#open += by;
    this.changes.add(this.#open);
  }
}

/** A port that nobody uses, for a process that has to know its URL before it listens. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

/** One actor system, its URL, and what it told. */
export interface Process {
  readonly system: ActorSystem;
  readonly url: string;
  readonly stories: Events<ActorStory>;
  readonly network: CountingNetwork;
}

export type StartOptions = Partial<Omit<SystemOptions, "environment" | "tell">> & {
  /** The process knows its URL and tells it to others. */
  readonly known?: boolean;
  readonly port?: number;
  readonly environment?: Partial<ClientEnvironment>;
  /** Runs before the system listens. */
  readonly onCreate?: (system: ActorSystem) => void;
};

async function start(name: string, options: StartOptions): Promise<Process> {
  const { known = false, port, environment, onCreate, ...rest } = options;
  const at = port ?? (known ? await freePort() : 0);
  const stories = new Events<ActorStory>();
  const counting = new CountingNetwork();
  const system = new ActorSystem({
    cluster: "test",
    name,
    backoff: { firstMs: 5, longestMs: 50 },
    ...(known ? { url: `ws://127.0.0.1:${at}` } : {}),
    ...rest,
    environment: { clock: standardClock, random: standardRandom, network: counting, ...environment },
    tell: (story) => stories.add(story),
  });
  onCreate?.(system);
  const listening = await system.listen({ host: "127.0.0.1", port: at });
  return { system, url: `ws://127.0.0.1:${listening}`, stories, network: counting };
}

export type Start = (name: string, options?: StartOptions) => Promise<Process>;

/** Runs a test in a world of its own; every process that it starts is closed in the end. */
export async function world(run: (start: Start) => Promise<void>): Promise<void> {
  const processes: Process[] = [];
  try {
    await run(async (name, options = {}) => {
      const started = await start(name, options);
      processes.push(started);
      return started;
    });
  } catch (error) {
    // The test runner can't print an error that has details of its own.
    throw error instanceof ConclaveError ? new Error(`${error.code}: ${error.message}`, { cause: error }) : error;
  } finally {
    await Promise.all(processes.map(({ system }) => system.close()));
  }
}
