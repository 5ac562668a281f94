/** Writes down what the cores of a script do, step by step, as they do it. */

import type { Effects, NodeId, RaftEvent, RaftStory } from "../../../src/raft/index.ts";
import type { Server } from "../server.ts";
import {
  type State,
  stateOf,
  stateOnDisk,
  textOfEvent,
  textOfOffer,
  textOfOutgoing,
  textOfPersist,
  textOfRefusal,
  textOfRestore,
  textOfState,
  textOfStory,
} from "./notation.ts";

/**
 * How much of a command's outcome is told. `steps`: everything each core is given and decides. `stories`: what it
 * tells a person and answers its callers, without single votes. `answers`: only the latter.
 */
export type Detail = "steps" | "stories" | "answers";

const INDENT = "  ";
const isSingleVote = ({ event }: RaftStory): boolean => event === "vote-sent" || event === "vote-received";

/** That nothing comes of it is worth a line for a message that somebody has sent, and for a snapshot. */
const isWorthALine = (id: NodeId, event: RaftEvent): boolean =>
  event.type === "message" ? event.from !== id : event.type === "snapshot-taken";

export class Transcript {
  #lines: string[] = [];
  #detail: Detail = "steps";
  /** When the command began whose times are told; null if the command is not about time. */
  #zeroMs: number | null = null;
  #toldMs = 0;
  readonly #states = new Map<NodeId, State>();
  readonly #names: string[] = [];

  /** Begins a command. */
  begin(detail: Detail, zeroMs: number | null): void {
    this.#lines = [];
    this.#detail = detail;
    this.#zeroMs = zeroMs;
    this.#toldMs = 0;
  }

  /** What was written down since. */
  end(): string[] {
    return this.#lines;
  }

  say(...lines: readonly string[]): void {
    this.#lines.push(...lines);
  }

  /** A ticket for something that the script calls by a name. */
  ticketFor(name: string): number {
    return this.#names.push(name) - 1;
  }

  /** The next state that is seen of this server is that of a new process. */
  forget(id: NodeId): void {
    this.#states.delete(id);
  }

  /** Looks on; see `Witness`. */
  witness(server: Server, events: readonly RaftEvent[], effects: Effects): void {
    const before = this.#states.get(server.id) ?? stateOnDisk(server);
    const after = stateOf(server);
    this.#states.set(server.id, after);

    const answers = this.#answers(effects);
    const stories = effects.story.map((story) => ({ story, line: `story: ${textOfStory(story)}` }));
    if (this.#detail !== "steps") {
      const told = stories.filter(({ story }) => this.#detail === "stories" && !isSingleVote(story));
      this.#sayAt(
        server,
        [...told.map(({ line }) => line), ...answers].map((line) => `${server.id} ${line}`),
      );
      return;
    }
    const now = textOfState(after, before);
    const lines = [
      ...stories.map(({ line }) => line),
      ...(now === "" ? [] : [`now: ${now}`]),
      ...answers,
      ...(effects.offer === null ? [] : [textOfOffer(effects.offer)]),
      ...(effects.restore === null ? [] : [textOfRestore(effects.restore)]),
      ...effects.messages.map((outgoing) => textOfOutgoing(outgoing, "->")),
      ...(effects.persist === null ? [] : [textOfPersist(effects.persist)]),
      ...effects.messagesAfterPersist.map((outgoing) => textOfOutgoing(outgoing, "=>")),
      ...effects.fetches.map(({ to, from, through }) => `fetch for ${to}: entries ${from} to ${through}`),
    ];
    if (lines.length === 0 && !events.some((event) => isWorthALine(server.id, event))) return;
    const causes = events.map((event) => textOfEvent(server.id, event, (ticket) => this.#nameOf(ticket)));
    this.#sayAt(server, [...causes, ...lines.map((line) => INDENT + line)]);
  }

  #nameOf(ticket: number): string {
    return this.#names[ticket] ?? `without a name (${ticket})`;
  }

  #answers({ proposals, changes, reads }: Effects): string[] {
    return [
      ...changes.map((outcome) => {
        if ("refusal" in outcome) return `answer: change refused, ${textOfRefusal(outcome.refusal)}`;
        return `answer: change ${outcome.index === null ? "makes no difference" : `becomes ${outcome.index}:${outcome.term}`}`;
      }),
      ...proposals.map((outcome) => {
        const fate = "refusal" in outcome ? `refused, ${outcome.refusal}` : `becomes ${outcome.index}:${outcome.term}`;
        return `answer: ${this.#nameOf(outcome.ticket)} ${fate}`;
      }),
      ...reads.map((outcome) => {
        const fate = "refusal" in outcome ? `refused, ${outcome.refusal}` : `may be read at ${outcome.index}`;
        return `answer: ${this.#nameOf(outcome.ticket)} ${fate}`;
      }),
    ];
  }

  /** Says these lines, under the time if it is another than that of the lines before. */
  #sayAt({ clock }: Server, lines: readonly string[]): void {
    if (lines.length === 0) return;
    const sinceMs = Math.round(clock.nowMs - (this.#zeroMs ?? clock.nowMs));
    if (sinceMs !== this.#toldMs) this.say(`+${sinceMs} ms`);
    this.#toldMs = sinceMs;
    this.say(...lines);
  }
}
