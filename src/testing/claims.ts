/** What the nodes of a simulated cluster tell, or act on, has to be so: checked against all that is known of all of them. */

import type { NodeProcessStory } from "../node/index.ts";
import type { Entry } from "../raft/index.ts";
import type { Invariants, Report } from "./invariants.ts";
import type { SimulatedNetwork } from "./network.ts";
import type { Place } from "./place.ts";
import { UNEVEN } from "./process.ts";
import { activationIn, canRun } from "./programs.ts";
import { TIMING } from "./timing.ts";

/** A stall that any node notices, be its clock slow and its guard just about to look. */
const NOTICED_STALL_MS = (2 * TIMING.heartbeatMs) / UNEVEN.least;

export interface ClaimsParts {
  readonly places: ReadonlyMap<string, Place>;
  readonly network: SimulatedNetwork;
  readonly invariants: Invariants;
  readonly report: Report;
  /** The node that leads the newest term, if there is one. */
  leader(): string | null;
}

export class Claims {
  readonly #parts: ClaimsParts;

  constructor(parts: ClaimsParts) {
    this.#parts = parts;
  }

  /** A node has told this. */
  check(id: string, story: NodeProcessStory): void {
    this.#checkStates(id, story);
    if (story.event === "leader-elected") this.#checkLeases(id, story.term);
    if (story.event === "pre-vote" && story.reason === "timer-ran-out") this.#checkHeard(id);
  }

  /** A leader that brings a machine into use has been told by everybody it has a link to that they can run it. */
  checkActivation(leader: string, entry: Entry): void {
    const activation = activationIn(entry);
    if (activation === null) return;
    const { places, report } = this.#parts;
    for (const [id, isUp] of Object.entries(places.get(leader)?.node?.status().links ?? {})) {
      const machine = places.get(id)?.machine ?? null;
      if (!isUp || machine === null || canRun(machine, activation)) continue;
      const { name, version } = activation;
      const words = `version ${version} of ${name}, which ${id} can't run, and is linked`;
      report("activated-by-all", `${leader} activates ${words}`);
    }
  }

  /** What nodes find out about their states has to be so. */
  #checkStates(id: string, story: NodeProcessStory): void {
    const { places, invariants, report } = this.#parts;
    const { replicas, members } = invariants;
    // With no others to name it goes by what a life before has found out.
    const isKnown = story.event === "diverged" && story.others.length === 0;
    const mayBe = isKnown || replicas.isWrong(id) || replicas.mayBeOutnumbered(members?.members.length ?? 0);
    if (story.event === "diverged" && !mayBe) {
      report("replicas-agree", `${id} has the same state at entry ${story.index} as ${story.others.join(" and ")}`);
    }
    if (story.event === "states-differ" && !replicas.wasAnyWrong) {
      report("replicas-agree", `all have the same state at entry ${story.index}, and ${id} says that they differ`);
    }
    const memory = places.get(id)?.memory;
    const isDistrusted = memory?.paths().some((path) => path.includes("/distrusted-") && memory.durableBytesOf(path));
    if (story.event === "state-replaced" && isDistrusted !== true) {
      report("replicas-agree", `${id} replaces its state, and would go on with the wrong one after a crash`);
    }
    if (story.event === "agrees-again") replicas.agrees(id);
    if (story.event === "comparison-failed") report("replicas-agree", `${id} can't compare: ${story.reason}`);
  }

  /** Whoever still has a lease, by its own clock, may be serving reads from what it holds. */
  #checkLeases(id: string, term: number): void {
    for (const { id: other, raft, process } of this.#parts.places.values()) {
      if (raft === null || process === null || raft.role.name !== "leader" || raft.term >= term) continue;
      const { leaseUntilMs, leaseForfeited, firstIndex } = raft.role;
      const holdsLease = process.environment.clock.nowMs() < leaseUntilMs && !leaseForfeited;
      if (!holdsLease || raft.commitIndex < firstIndex) continue;
      this.#parts.report(
        "lease-exclusive",
        `${id} is elected in term ${term}, and ${other} has a lease in ${raft.term}`,
      );
    }
  }

  /** Silence is none that lies unread in a socket, if it has been there for so long that a stall must have been noticed. */
  #checkHeard(id: string): void {
    const { places, network, report } = this.#parts;
    const leader = this.#parts.leader();
    if (leader === null) return;
    const [own, other] = [places.get(id)?.raft ?? null, places.get(leader)?.raft ?? null];
    if (own === null || other === null || own.term > other.term) return;
    if (!network.isUnreadFor(leader, id, NOTICED_STALL_MS)) return;
    report("heard-first", `${id} asks for votes, and what ${leader} has sent in term ${other.term} lies unread`);
  }
}
