/** Somebody who changes the members of a simulated cluster, and has to put up with what comes of it. */

import { Client } from "../client/client.ts";
import { ConclaveError } from "../errors.ts";
import type { MemberWish } from "../protocol/node.ts";
import { type Configuration, configurationOf, isJoint, type Member } from "../raft/index.ts";
import type { SimulatedCluster } from "./cluster.ts";
import type { Dice } from "./dice.ts";
import { CLUSTER, DIRECTORY, urlOf } from "./guests.ts";
import type { Report } from "./invariants.ts";
import type { SimulatedNetwork } from "./network.ts";
import { diskless, Process } from "./process.ts";
import type { World } from "./world.ts";

export interface OperatorParts {
  readonly world: World;
  readonly network: SimulatedNetwork;
  readonly cluster: SimulatedCluster;
  readonly report: Report;
}

/** More members make runs slow, and show nothing new. */
const MEMBERS_MAX = 7;
const TIMEOUT_MS = 3_000;
const PRIORITY_MAX = 2;
/** How often a leader is asked to leave, rather than anybody. */
const LEADERS = 0.3;

const CHANGES = ["join", "add", "replace", "remove", "demote", "promote", "prefer", "readmit", "hand-over"] as const;

export class Operator {
  readonly #parts: OperatorParts;
  #open = 0;

  constructor(parts: OperatorParts) {
    this.#parts = parts;
  }

  /** What was asked for has not ended yet. */
  get isBusy(): boolean {
    return this.#open > 0;
  }

  /** Begins some change, and says in words which; null if there is none to be made now. */
  act(dice: Dice): string | null {
    const { cluster } = this.#parts;
    const { leader } = cluster;
    const raft = leader === null ? undefined : cluster.cores.get(leader);
    if (leader === null || raft === undefined || this.isBusy) return null;
    const configuration = configurationOf(raft);
    const kind = dice.pick(CHANGES);
    switch (kind) {
      case "join":
        return this.#hasRoom(configuration) ? `join ${this.#addMachine(true)}` : null;
      case "add":
        return this.#hasRoom(configuration) ? this.#add(dice) : null;
      case "replace":
        return this.#replace(this.#victim(configuration, leader, dice, 1));
      case "remove":
        return this.#wish("remove", this.#victim(configuration, leader, dice, dice.chance(0.2) ? 2 : 3));
      case "demote":
        return this.#wish("demote", this.#victim(configuration, leader, dice, dice.chance(0.2) ? 2 : 3));
      case "promote": {
        const learners = configuration.members.filter(
          ({ role, promotion }) => role === "learner" && promotion === null,
        );
        return learners.length === 0 ? null : this.#wish("promote", dice.pick(learners).id);
      }
      case "prefer": {
        const { id } = dice.pick(configuration.members);
        const priority = dice.below(PRIORITY_MAX + 1);
        this.#change([{ type: "prefer", id, priority }]);
        return `prefer ${id} by ${priority}`;
      }
      case "readmit": {
        const retired = cluster.ids.filter((id) => cluster.outlook.isRetired(id));
        if (retired.length === 0 || !this.#hasRoom(configuration)) return null;
        const id = dice.pick(retired);
        cluster.readmit(id);
        return `readmit ${id}`;
      }
      case "hand-over": {
        const { id } = dice.pick(configuration.members);
        this.#ask((client) => client.transfer(id, { timeoutMs: TIMEOUT_MS }));
        return `hand over to ${id}`;
      }
    }
  }

  #hasRoom({ members }: Configuration): boolean {
    return members.length < MEMBERS_MAX && this.#parts.cluster.hasNames;
  }

  /** Some voter that the others can do without, and leave so many of them; null if there is none. */
  #victim(configuration: Configuration, leader: string, dice: Dice, leastLeft: number): string | null {
    const { cluster } = this.#parts;
    const { members } = configuration;
    const isSettled = !isJoint(configuration) && members.every((member: Member) => member.promotion === null);
    const voters = members.filter(({ role }) => role === "voter").map(({ id }) => id);
    if (!isSettled || voters.length <= leastLeft || members.some(({ id }) => !cluster.mayLose(id))) return null;
    return dice.chance(LEADERS) ? leader : dice.pick(voters);
  }

  #addMachine(isStarted: boolean): string {
    const { cluster } = this.#parts;
    const id = cluster.addMachine();
    if (isStarted) cluster.start(id);
    return id;
  }

  #add(dice: Dice): string {
    const id = this.#addMachine(false);
    const votes = dice.chance(0.7);
    this.#change([{ type: "add", id, url: this.#parts.cluster.urlOf(id), votes, priority: 0 }], id);
    return `add ${id}${votes ? "" : ", which is not to vote"}`;
  }

  #replace(id: string | null): string | null {
    if (id === null || !this.#parts.cluster.hasNames) return null;
    const by = this.#addMachine(false);
    this.#change([{ type: "replace", id, by, url: this.#parts.cluster.urlOf(by) }], by);
    return `replace ${id} by ${by}`;
  }

  #wish(type: "remove" | "demote" | "promote", id: string | null): string | null {
    if (id === null) return null;
    this.#change([{ type, id }]);
    return `${type} ${id}`;
  }

  /** @param toStart a machine that is started once the change is made, or not made */
  #change(wishes: readonly MemberWish[], toStart?: string): void {
    const start = (): void => {
      if (toStart !== undefined) this.#parts.cluster.start(toStart);
    };
    this.#ask((client) => client.change(wishes, { timeoutMs: TIMEOUT_MS }).finally(start));
  }

  #ask(question: (client: Client) => Promise<void>): void {
    const { world, network, cluster, report } = this.#parts;
    const process = new Process(world, network, cluster.guests.forkedDice(), diskless("operator"));
    const nodes = cluster.ids.map((id) => cluster.urlOf(id));
    const client = new Client(
      { directories: [urlOf(DIRECTORY)], nodes, cluster: CLUSTER, timeoutMs: TIMEOUT_MS },
      process.environment,
    );
    this.#open++;
    question(client)
      .catch((error: unknown) => {
        if (!(error instanceof ConclaveError)) report("process-lives", `the operator failed: ${String(error)}`);
      })
      .finally(() => {
        this.#open--;
        process.kill(true);
      });
  }
}
