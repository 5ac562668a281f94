/**
 * The promises of Raft, and of what is built on it, by name. Sections are those of the paper, or of the thesis where it
 * says so.
 */

/** Not `as const`: types that repeat what each says would be much to load, for editors and for those who install it. */
const SAID = {
  "election-safety": "A term has at most one leader (Figure 3).",
  "leader-append-only": "A leader never removes or replaces entries of its own log (Figure 3).",
  "log-matching": "Entries with the same index and term are the same, and so are all before them (Figure 3).",
  "leader-completeness": "A leader's log holds every entry that was committed before (Figure 3).",
  "state-machine-safety":
    "No two replicas apply different commands, or come to different results, at an index (Figure 3).",
  "one-vote-per-term": "A server gives its vote to one candidate in a term, whatever crashes come between (5.2).",
  "vote-durable": "A vote is counted only once it is durable at the voter.",
  "applied-in-order":
    "A replica applies the entries that are committed, each once, in their order, and leaves none out.",
  "acknowledged-durable": "A leader takes for replicated only what is durable at the follower, and at itself.",
  "committed-durable": "What is committed is durable on a majority.",
  "own-term-counted": "A leader commits by counting only entries of its own term; those before follow (5.4.2).",
  "commit-final": "Once an entry is committed, no server without it could win an election (5.4.1 and 5.4.2).",
  "committed-forever": "What was committed once stays committed, at its index.",
  "one-acting-leader": "Once a newer leader has committed something, an older one commits nothing more.",
  "commit-monotonic": "A server's commit index never goes back while it lives, nor past the end of its log.",
  "recovery-exact": "A restart finds what was flushed, and no more than what was written, snapshots included.",
  "compacted-covered": "What leaves the log is in a snapshot that is durable (7).",
  "snapshot-exact":
    "A snapshot of an entry is the state of every replica that has applied up to there, and says who the members were (7).",
  "replicas-agree": "Nodes find that their states are the same wherever they are, and that one is another where it is.",
  "configuration-in-log":
    "The newest configuration in a server's log is in effect there, and goes with its entry (thesis, 4.1).",
  "configuration-settled":
    "A leader changes the members once the configuration before, and an entry of its term, are committed (4.1, erratum).",
  "quorums-overlap": "Quorums of consecutive configurations have a server in common (thesis, 4.3).",
  "removed-stays-out":
    "Who is no voter by the log that elects it, or by what it knows to be committed, does not lead (4.2.2).",
  "admitted-first":
    "No vote counts before every founder has taken note of the voter, or the log names the disk that it runs on (4.1).",
  "admission-kept": "A node that every other has taken note of stays so for as long as it keeps its disk.",
  "leader-in-touch": "A leader that has not heard from a majority for two election timeouts leads no more.",
  "lease-exclusive": "While a leader holds a lease, nobody else is elected (thesis, 6.4.1).",
  "damage-noticed": "A node whose log was damaged where it had been flushed does not start.",
  "directory-order": "What a directory pushes never goes back to an older term.",
  "process-lives": "No process of the cluster fails by itself.",
  linearizable: "What clients saw can be explained by one order of their calls.",
  "client-order": "Commands of one client take effect in the order in which it issued them.",
  "stale-order": "Stale reads show what their client has written and read before, whichever nodes answer.",
  "watch-exact":
    "A watch gives every change with its prefix that the log makes, each once, in order, and in the end all.",
  "hold-exclusive":
    "Whoever finds its signal unfired holds the lock by the log, if its clock is no slower than is allowed for.",
  "permits-kept": "Nothing is held by more than there are permits.",
  "jobs-kept": "A job is in its queue until it was acknowledged, once, or discarded; none is lost, or done by two.",
  "tokens-grow":
    "Tokens grow in the order of grants, and a store that goes by them takes nothing from an earlier holder after a later.",
  "changes-exact": "Whoever subscribes to a machine gets every change, each once, in order, and in the end all.",
  "commands-whole": "A command that is refused leaves nothing behind, and one that goes through leaves all.",
  "timers-kept": "No timer runs out before its time has passed by its leader's clock.",
  "time-forward": "The time that entries bring never goes back.",
  "activated-by-all": "A leader activates a machine once every member that it has a link to can run it.",
  "comes-to-an-end":
    "Once all is calm, nothing is held or waited for by those who are gone, and every timer has run out.",
  "calls-answered": "Every call ends, with a result or an error.",
  "deadline-kept": "A call ends when its time is up.",
  "disk-bounded": "Once everything is calm, logs and snapshots take no more of a disk than they may.",
  "comes-to-rest": "Once everything works again, one node leads, all have the same log, and clients know it.",
  "heard-first": "A server that was held up reads what its leader has sent meanwhile before it calls for an election.",
  undisturbed: "While a healthy leader has a healthy majority, nobody deposes it.",
  workload: "What the workload itself checks.",
};

/**
 * The names of the invariants, each with what it says.
 *
 * @example
 * ```ts
 * import { INVARIANTS } from "conclave/testing";
 *
 * console.log(INVARIANTS["election-safety"]); // A term has at most one leader (Figure 3).
 * ```
 */
export const INVARIANTS: Readonly<typeof SAID> = SAID;

/**
 * The name of a promise that must never be broken.
 *
 * @example
 * ```ts
 * import { INVARIANTS, type Invariant } from "conclave/testing";
 *
 * const inWords = (invariant: Invariant): string => `${invariant}: ${INVARIANTS[invariant]}`;
 * ```
 */
export type Invariant = keyof typeof INVARIANTS;

/**
 * Takes what was found broken.
 *
 * @example
 * ```ts
 * import type { Report } from "conclave/testing";
 *
 * function judge(sum: number, report: Report): void {
 *   if (sum !== 300) report("workload", `there is ${sum} in all, not 300`);
 * }
 * ```
 */
export type Report = (invariant: Invariant, detail: string) => void;

/**
 * How often something interesting came about.
 *
 * @example
 * ```ts
 * import { type Sights, simulate } from "conclave/testing";
 *
 * const wasInteresting = ({ elections, truncations }: Sights): boolean => elections > 1 && truncations > 0;
 * console.log(wasInteresting((await simulate({ seed: 42, events: 500 })).sights));
 * ```
 */
export interface Sights {
  /** Elections won. */
  elections: number;
  /** Terms in which more than one server was a candidate. */
  contested: number;
  /** Logs that lost entries to a newer leader's. */
  truncations: number;
  /** Changes of the members that were committed. */
  configurations: number;
}
