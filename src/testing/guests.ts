/** Who is not of the cluster and has to do with it: clients, a subscriber of the directory, an operator. */

import { type ActorContext, type ActorStory, ActorSystem } from "../actor/index.ts";
import { Client } from "../client/client.ts";
import { CLIENT_ACTOR, clientProtocol } from "../protocol/client.ts";
import { DIRECTORY_ACTOR, directoryProtocol } from "../protocol/directory.ts";
import type { LeaderView } from "../protocol/leader.ts";
import { NODE_ACTOR, type NodeMessage, nodeProtocol } from "../protocol/node.ts";
import type { Dice } from "./dice.ts";
import type { Report } from "./invariants.ts";
import type { SimulatedNetwork } from "./network.ts";
import { type ClockRates, diskless, Process, UNEVEN } from "./process.ts";
import type { World } from "./world.ts";

export const CLUSTER = "simulated";
export const PORT = 7000;
export const DIRECTORY = "directory";

export const urlOf = (host: string, port = PORT): string => `ws://${host}:${port}`;

export interface GuestsParts {
  readonly world: World;
  readonly network: SimulatedNetwork;
  readonly dice: Dice;
  readonly report: Report;
}

/** A client, and the process that it is in. */
export interface Guest {
  readonly process: Process;
  readonly client: Client;
}

export class Guests {
  readonly #parts: GuestsParts;
  readonly #guests = new Map<string, Guest>();
  #directoryView: LeaderView | null = null;

  constructor(parts: GuestsParts) {
    this.#parts = parts;
  }

  /** Follows the directory as a subscriber does, for as long as the world goes on. */
  observe(): void {
    const process = new Process(this.#parts.world, this.#parts.network, this.#parts.dice.fork(), diskless("observer"));
    const system = this.#outsider(process, "observer");
    let life = "";
    let newestTerm = 0;
    const see = (view: LeaderView): void => {
      if (view.term < newestTerm) {
        this.#parts.report("directory-order", `it went from term ${newestTerm} back to ${view.term}`);
      }
      newestTerm = view.term;
      this.#directoryView = view;
    };
    system.spawn(CLIENT_ACTOR, clientProtocol, (context: ActorContext) => {
      context.keepLink(urlOf(DIRECTORY));
      const directory = context.ref(`${urlOf(DIRECTORY)}/${DIRECTORY_ACTOR}`, directoryProtocol);
      return (batch) => {
        for (const delivery of batch) {
          if (delivery.type === "message") see(delivery.message.view);
          if (delivery.type !== "link" || !delivery.up) continue;
          // Another process has all to learn anew, terms included.
          if (delivery.peer.hello.process !== life) newestTerm = 0;
          life = delivery.peer.hello.process;
          directory.ask({ type: "subscribe" }, { timeoutMs: 60_000 }).then(
            (answer) => answer.type === "leader" && see(answer.view),
            () => {},
          );
        }
      };
    });
  }

  /** The leader as the directory last pushed it. */
  get announced(): LeaderView | null {
    return this.#directoryView;
  }

  /** Asks a leader, wherever it is reached, to hand leadership over, or to have states compared. */
  order(url: string, message: Extract<NodeMessage, { type: "transfer" | "compare" }>): void {
    const { world, network, dice } = this.#parts;
    const operator = new Process(world, network, dice.fork(), diskless("operator"));
    const system = this.#outsider(operator, "operator");
    const done = (): void => operator.kill(true);
    system.ref(`${url}/${NODE_ACTOR}`, nodeProtocol).ask(message, { timeoutMs: 1_000 }).then(done, done);
  }

  /** A source of chance for somebody else who is not of the cluster. */
  forkedDice(): Dice {
    return this.#parts.dice.fork();
  }

  /** Actors of nobody's, whose failures are failures all the same. */
  #outsider({ environment }: Process, name: string): ActorSystem {
    const tell = (story: ActorStory): void => {
      if (story.event === "handler-failed") this.#parts.report("process-lives", `the ${name} failed: ${story.error}`);
    };
    return new ActorSystem({ environment, cluster: CLUSTER, name, tell });
  }

  /** Starts a client on a host of its own. */
  startClient(name: string, nodes: readonly string[], timeoutMs: number, clockRates: ClockRates = UNEVEN): Guest {
    const { world, network, dice } = this.#parts;
    const process = new Process(world, network, dice.fork(), { ...diskless(name), clockRates });
    const client = new Client(
      { directories: [urlOf(DIRECTORY)], nodes: nodes.map((node) => urlOf(node)), cluster: CLUSTER, timeoutMs },
      process.environment,
    );
    const guest = { process, client };
    this.#guests.set(name, guest);
    return guest;
  }

  /** A client's event loop is held up. */
  stallClient(name: string, forMs: number): void {
    this.#guests.get(name)?.process.stall(forMs);
  }

  /** A client's process ends without a word; calls that it had open are never answered. */
  killClient(name: string): void {
    this.#guests.get(name)?.process.kill(true);
    this.#guests.delete(name);
  }

  get clients(): ReadonlyMap<string, Client> {
    return new Map([...this.#guests].map(([name, { client }]) => [name, client]));
  }
}
