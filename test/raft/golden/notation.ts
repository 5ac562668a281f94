/**
 * How scripts write down what the core says: one line for anything. Entries are `index:term`, logs the terms of their
 * entries from the first on, as the paper draws them. Messages can be read back, so that a script can forge one.
 */

import {
  bootstrap,
  type ChangeRefusal,
  type Configuration,
  configurationOf,
  decodeConfiguration,
  type Entry,
  EntryKind,
  knownLeader,
  type Member,
  type Message,
  type NodeId,
  type Offer,
  type Outgoing,
  type Persist,
  type Position,
  type RaftEvent,
  type RaftStory,
  type Snapshot,
  type VoteRefusal,
  type Wish,
} from "../../../src/raft/index.ts";
import {
  accepted,
  append,
  heartbeat,
  heartbeatResponse,
  readRequest,
  readResponse,
  rejected,
  snapshotOffer,
  textOf,
  timeoutNow,
  vote,
  voteRequest,
} from "../messages.ts";
import { durableConfiguration, type Server, urlOf } from "../server.ts";
import { Fields, needed, wholeNumber } from "./words.ts";

const textOfList = (items: readonly (string | number)[]): string => items.join(",") || "-";

const textOfPosition = ({ index, term }: Position): string => `${index}:${term}`;

const textOfEntries = (entries: readonly Entry[]): string => textOfList(entries.map(textOfPosition));

/** `n1,n2,n3(learner:to-vote)`: of a voter the name, of the others also what they are, and of all what is unusual. */
export const textOfMembers = ({ members }: Configuration): string => textOfList(members.map(textOfMember));

function textOfMember({ id, role, priority, promotion, successor }: Member): string {
  const words = [
    ...(role === "voter" && priority === 0 ? [] : [role]),
    ...(promotion === null ? [] : [promotion.replaces === null ? "to-vote" : `for-${promotion.replaces}`]),
    ...(successor === null ? [] : ["wiped"]),
    ...(priority === 0 ? [] : [`priority-${priority}`]),
  ];
  return words.length === 0 ? id : `${id}(${words.join(":")})`;
}

function textOfWish(wish: Wish): string {
  switch (wish.type) {
    case "add":
      return `add ${wish.id}${wish.votes ? "" : " as a learner"}`;
    case "replace":
      return `replace ${wish.id} by ${wish.by}`;
    case "prefer":
      return `prefer ${wish.id} with ${wish.priority}`;
    case "remove":
    case "promote":
    case "demote":
    case "move":
      return `${wish.type} ${wish.id}`;
  }
}

export function textOfMessage(message: Message): string {
  const { term } = message;
  switch (message.type) {
    case "vote-request": {
      const { preVote, transfer, lastLogIndex, lastLogTerm } = message;
      const name = preVote ? "pre-vote-request" : "vote-request";
      return `${name} term=${term} last=${lastLogIndex}:${lastLogTerm}${transfer ? " transfer" : ""}`;
    }
    case "vote-response": {
      const { preVote, refusal } = message;
      return `${preVote ? "pre-vote" : "vote"} term=${term} ${refusal === null ? "granted" : `refused=${refusal}`}`;
    }
    case "append-request": {
      const { prevLogIndex, prevLogTerm, leaderCommit, entries } = message;
      const sent = entries.length > 0 ? ` entries=${textOfEntries(entries)}` : "";
      return `append term=${term} prev=${prevLogIndex}:${prevLogTerm} commit=${leaderCommit}${sent}`;
    }
    case "append-accepted":
      return `accepted term=${term} match=${message.matchIndex}`;
    case "append-rejected": {
      const { prevLogIndex, conflictIndex, conflictTerm } = message;
      return `rejected term=${term} prev=${prevLogIndex} conflict=${conflictIndex}:${conflictTerm}`;
    }
    case "heartbeat-request":
      return `heartbeat term=${term} round=${message.round} commit=${message.commitIndex}`;
    case "heartbeat-response":
      return `heartbeat-response term=${term} round=${message.round}`;
    case "timeout-now":
      return `timeout-now term=${term}`;
    case "snapshot-offer":
      return `snapshot-offer term=${term} last=${message.lastIndex}:${message.lastTerm}`;
    case "read-request":
      return `read-request term=${term} id=${message.id}`;
    case "read-response":
      return `read-response term=${term} id=${message.id} index=${message.index}`;
  }
}

type Pair = [index: number, term: number];

function pairOf(text: string): Pair {
  const [, index, term] = /^(\d+):(\d+)$/.exec(text) ?? [];
  if (index === undefined || term === undefined) throw new Error(`"${text}" is not INDEX:TERM`);
  return [Number(index), Number(term)];
}

/** The terms of entries that follow `prev`. */
function termsAfter(prev: Pair, entries: readonly string[]): number[] {
  return entries.map((text, i) => {
    const [index, term] = pairOf(text);
    if (index !== prev[0] + 1 + i) throw new Error(`entry ${text} does not follow entry ${prev[0] + i}`);
    return term;
  });
}

const REFUSALS: Readonly<Record<VoteRefusal, true>> = {
  "leader-is-alive": true,
  "voted-for-another": true,
  "log-behind": true,
  "term-behind": true,
};
const isRefusal = (text: string): text is VoteRefusal => Object.hasOwn(REFUSALS, text);

function voteOf(fields: Fields, term: number, preVote: boolean): Message {
  const refusal = fields.text("refused") ?? null;
  if (refusal !== null && !isRefusal(refusal)) throw new Error(`nobody refuses a vote because of "${refusal}"`);
  if (fields.flag("granted") === (refusal !== null)) throw new Error("a vote is either granted or refused=REASON");
  return vote({ term, preVote, refusal });
}

function messageOf(name: string, fields: Fields): Message {
  const term = needed(fields.number("term"), "term");
  const number = (key: string): number => needed(fields.number(key), key);
  const pair = (key: string): Pair => pairOf(needed(fields.text(key), key));
  switch (name) {
    case "vote-request":
    case "pre-vote-request":
      return voteRequest({
        term,
        preVote: name === "pre-vote-request",
        last: pair("last"),
        transfer: fields.flag("transfer"),
      });
    case "vote":
    case "pre-vote":
      return voteOf(fields, term, name === "pre-vote");
    case "append": {
      const prev = pair("prev");
      return append({ term, prev, commit: number("commit"), entries: termsAfter(prev, fields.list("entries") ?? []) });
    }
    case "accepted":
      return accepted(term, number("match"));
    case "rejected":
      return rejected(term, number("prev"), ...pair("conflict"));
    case "heartbeat":
      return heartbeat(term, number("round"), number("commit"));
    case "heartbeat-response":
      return heartbeatResponse(term, number("round"));
    case "timeout-now":
      return timeoutNow(term);
    case "snapshot-offer":
      return snapshotOffer(term, pair("last"));
    case "read-request":
      return readRequest(term, number("id"));
    case "read-response":
      return readResponse(term, number("id"), number("index"));
    default:
      throw new Error(`there is no message "${name}"`);
  }
}

/** The message that `textOfMessage` writes with these words. */
export function readMessage([name = "", ...words]: readonly string[]): Message {
  const fields = new Fields(words);
  const message = messageOf(name, fields);
  fields.end();
  return message;
}

/** `log=1,1,2`, or `log=-` for an empty one. */
export const readTerms = (words: readonly string[]): number[] =>
  words.length === 1 && words[0] === "-" ? [] : words.map(wholeNumber);

/** At once, or (`=>`) only when everything written so far is durable. */
export const textOfOutgoing = ({ to, message }: Outgoing, arrow: "->" | "=>"): string =>
  `${arrow} ${to} ${textOfMessage(message)}`;

export function textOfPersist({ seq, reset, hardState, entries }: Persist): string {
  const anew = reset === null ? "" : ` anew-behind=${textOfPosition(reset)}`;
  const state = hardState && ` term=${hardState.term} vote=${hardState.vote ?? "-"} commit=${hardState.commitIndex}`;
  return `write ${seq}:${anew}${state ?? ""}${entries.length > 0 ? ` entries=${textOfEntries(entries)}` : ""}`;
}

/** Any story: its fields in the order in which the core names them; what is false or empty goes without saying. */
export function textOfStory(story: RaftStory): string {
  const { event, ...fields } =
    story.event === "configuration" ? { ...story, configuration: textOfMembers(story.configuration) } : story;
  const words = Object.entries<unknown>(fields).map(([name, value]) => {
    const key = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    if (value === false || value === null) return "";
    return value === true ? ` ${key}` : ` ${key}=${Array.isArray(value) ? textOfList(value) : value}`;
  });
  return event + words.join("");
}

/** What the state machine was given, from the snapshot on that it was restored from. */
export function textOfApplied({ id, applied, restored }: Server): string {
  const words = applied.map((entry) => {
    if (entry.kind === EntryKind.noop) return "no-op";
    if (entry.kind === EntryKind.command) return textOf(entry);
    return `members ${textOfMembers(decodeConfiguration(entry.payload))}`;
  });
  const from = restored === null ? [] : [`snapshot ${textOfPosition(restored)}`];
  return `${id} applied ${[...from, ...words].join(", ") || "nothing"}`;
}

export const textOfOffer = ({ from, snapshot }: Offer): string =>
  `offer: snapshot ${textOfPosition(snapshot)} of ${from} is needed`;

export const textOfRestore = (snapshot: Snapshot): string => `restore: snapshot ${textOfPosition(snapshot)}`;

export function textOfRefusal(refusal: string | ChangeRefusal): string {
  if (typeof refusal === "string") return refusal;
  return "id" in refusal ? `${refusal.reason} ${refusal.id}` : refusal.reason;
}

/** What happened to a server; `named` gives back the name under which the script asked for something. */
export function textOfEvent(id: NodeId, event: RaftEvent, named: (ticket: number) => string): string {
  switch (event.type) {
    case "message":
      return `${id} <- ${event.from} ${textOfMessage(event.message)}`;
    case "tick":
      return `${id}: wakes`;
    case "stalled":
      return `${id}: was held up`;
    case "propose":
      return `${id}: proposal ${named(event.ticket)}`;
    case "change":
      return `${id}: change ${event.wishes.map(textOfWish).join(", ")}`;
    case "read":
      return `${id}: read ${named(event.ticket)}${event.lease ? " under the lease" : ""}`;
    case "persisted":
      return `${id}: write ${event.seq} is durable`;
    case "applied":
      return `${id}: applied up to ${event.index}`;
    case "fetched":
      return `${id}: read entries=${textOfEntries(event.entries)} from the disk for ${event.to}`;
    case "snapshot-taken":
      return `${id}: has taken a snapshot up to ${textOfPosition(event.snapshot)}`;
    case "snapshot-received":
      return `${id}: has drawn the snapshot up to ${textOfPosition(event.snapshot)}`;
    case "snapshot-lost":
      return `${id}: its snapshot up to ${event.index} is lost`;
    case "compact":
      return `${id}: lets go of entries up to ${event.index}`;
    case "admitted":
      return `${id}: is admitted`;
    case "link-up":
      return `${id}: link to ${event.peer} is up`;
    case "link-lost":
      return `${id}: link to ${event.peer} is lost`;
    case "transfer":
      return `${id}: transfer to ${event.to ?? "anybody"}`;
  }
}

/** What Figure 2 calls the state of a server, as words, with its log's base and its members; the role has no key. */
export interface State {
  readonly role: string;
  readonly term: string;
  readonly vote: string;
  readonly commit: string;
  readonly base: string;
  readonly log: string;
  readonly members: string;
}

export function stateOf(server: Server): State {
  const { raft, terms } = server;
  const leader = raft.role.name === "follower" ? knownLeader(raft) : null;
  return {
    role: leader === null ? raft.role.name : `follower of ${leader}`,
    term: String(raft.term),
    vote: raft.vote ?? "-",
    commit: String(raft.commitIndex),
    base: textOfPosition(raft.log.base),
    log: textOfList(terms),
    members: textOfMembers(configurationOf(raft)),
  };
}

/** What a server has when it starts from its disk. */
export function stateOnDisk(server: Server): State {
  const { term, vote, commitIndex } = server.disk.hardState;
  return {
    role: "follower",
    term: String(term),
    vote: vote ?? "-",
    commit: String(Math.max(commitIndex, server.snapshot.index)),
    base: textOfPosition(server.durable.base),
    log: textOfList(server.durableTerms),
    members: textOfMembers(durableConfiguration(server)),
  };
}

/** What goes without saying of a server: that nothing was compacted, and that the members are those of the start. */
const usualOf = ({ voters }: Server): Partial<State> => ({
  base: "0:0",
  members: textOfMembers(bootstrap(voters.map((id) => ({ id, url: urlOf(id) })))),
});

/** The fields of a state, or those in which it differs from an earlier one. */
export function textOfState({ role, ...fields }: State, earlier: Partial<State> = {}): string {
  const words = role === earlier.role ? [] : [role];
  return [...words, ...textOfFields(fields, earlier)].join(" ");
}

const textOfFields = (fields: Partial<State>, earlier: Partial<State>): string[] =>
  Object.entries(fields)
    .filter(([key, value]) => value !== earlier[key as keyof State])
    .map(([key, value]) => `${key}=${value}`);

/** One line on a server: its state, and what its disk has if that is something else. */
export function textOfServer(server: Server): string {
  const disk = stateOnDisk(server);
  const usual = usualOf(server);
  const { role, commit, ...durable } = disk;
  const onDisk = `on its disk ${textOfFields(durable, usual).join(" ")}`;
  if (!server.isRunning) return `${server.id} is down; ${onDisk} commit=${commit}`;
  const state = stateOf(server);
  const { durableIndex, log } = server.raft;
  // A new commit index alone is never written.
  const isSame = textOfState({ ...state, role, commit }, disk) === "";
  const difference = isSame && durableIndex === log.lastIndex ? "" : `; durable up to ${durableIndex}, ${onDisk}`;
  return `${server.id} ${textOfState(state, usual)}${difference}`;
}
