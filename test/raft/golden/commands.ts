/** The commands of the script language: what each is called, takes and does. */

import { logIndex, type NodeId, type Place, type Wish } from "../../../src/raft/index.ts";
import { type Cluster, incarnationOf } from "../cluster.ts";
import { urlOf } from "../server.ts";
import { readMessage, readTerms, textOfApplied, textOfOutgoing, textOfServer } from "./notation.ts";
import type { Detail } from "./transcript.ts";
import { around, decimalNumber, Fields, milliseconds, none, one, some, split, two, wholeNumber } from "./words.ts";
import type { World } from "./world.ts";

export interface Command {
  /** The words that follow the name. */
  readonly takes: string;
  readonly does: string;
  /** `steps` if nothing is said; anything less is followed by a line on each server that has changed. */
  readonly detail?: Detail;
  /** Its outcome tells when things happened. */
  readonly isTimed?: boolean;
  /** Throws if the words are not what the command takes. */
  readonly run: (world: World, words: readonly string[]) => void;
}

export const COMMANDS: Readonly<Record<string, Command>> = {
  disk: {
    takes: "NODE [log=TERM,...] [term=TERM] [vote=NODE] [commit=INDEX]",
    does: "what the disk of a server holds before the start; the term is that of its last entry by default",
    run(world, words) {
      const [id, ...rest] = some(words);
      const fields = new Fields(rest);
      const log = readTerms(fields.list("log") ?? ["-"]);
      const term = fields.number("term") ?? log.at(-1) ?? 0;
      world.prepareDisk(id, {
        log,
        term,
        vote: fields.text("vote") ?? null,
        commitIndex: fields.number("commit") ?? 0,
      });
      fields.end();
    },
  },
  setting: {
    takes: "NAME NUMBER",
    does: "sets a field of `RaftConfig` for all servers, before the start",
    run(world, words) {
      const [name, value] = two(words);
      world.prepareSetting(name, decimalNumber(value));
    },
  },
  start: {
    takes: "NODE ...",
    does: "starts these servers, each linked to all others",
    run: (world, words) => world.start(some(words)),
  },

  timeout: {
    takes: "NODE",
    does: "nobody hears a leader for an election timeout, and this server's timer is the first to run out",
    run: (world, words) => {
      world.cluster.stand(withTimer(world, one(words)));
    },
  },
  elect: {
    takes: "NODE",
    does: "timeout NODE, stabilize; it has to become leader",
    detail: "answers",
    run: (world, words) => {
      world.cluster.elect(withTimer(world, one(words)));
    },
  },
  tick: {
    takes: "MILLISECONDSms",
    does: "time passes and every server wakes at its deadlines, but no message arrives",
    isTimed: true,
    run: (world, words) => {
      world.cluster.tick(milliseconds(one(words)));
    },
  },
  run: {
    takes: "MILLISECONDSms",
    does: "time passes, and every message arrives at once",
    detail: "stories",
    isTimed: true,
    run: (world, words) => {
      world.cluster.advance(milliseconds(one(words)));
    },
  },

  propose: {
    takes: "NODE COMMAND",
    does: "a client asks this server to replicate a command",
    run(world, words) {
      const [id, text] = two(words);
      world.running(id).propose(text, world.transcript.ticketFor(text));
    },
  },
  read: {
    takes: "NODE NAME [lease]",
    does: "a client asks this server when it may read; a lease will do",
    run(world, words) {
      const [id, name, ...rest] = some(words);
      const fields = new Fields(rest);
      const lease = fields.flag("lease");
      fields.end();
      world.running(id).read(world.transcript.ticketFor(one(name === undefined ? [] : [name])), lease);
    },
  },
  change: {
    takes: "NODE WISH [and WISH ...]",
    does:
      "asks this server to change the members; a wish is add NODE, add-learner NODE, remove NODE, promote NODE, " +
      "demote NODE, replace NODE NODE, meet NODE (its incarnation is noted), move NODE (it is another by now) or " +
      "prefer NODE NUMBER",
    run(world, words) {
      const [id, ...rest] = some(words);
      const wishes = split("and", rest).map((wish) => wishOf(world.cluster, wish));
      world.running(id).step({ type: "change", ticket: world.transcript.ticketFor("change"), wishes });
    },
  },
  transfer: {
    takes: "NODE NODE|anybody",
    does: "asks the first server to hand leadership to the second",
    run(world, words) {
      const [id, to] = two(words);
      world.running(id).step({ type: "transfer", to: to === "anybody" ? null : world.cluster.at(to).id });
    },
  },

  deliver: {
    takes: "NODE -> NODE [all | NUMBER]",
    does: "the oldest message that waits on this link arrives, or all of them, or the second oldest, third, ...",
    run(world, words) {
      const { from, to, rest } = linkOf(world, words);
      const which = rest.length === 0 ? "1" : one(rest);
      const position = which === "all" ? 1 : wholeNumber(which);
      if (position === 0 || !world.cluster.deliver(from, to, position - 1)) throw idle(from, to);
      if (which === "all") while (world.cluster.deliver(from, to));
    },
  },
  drop: {
    takes: "NODE -> NODE",
    does: "everything that waits on this link is lost",
    run(world, words) {
      const { from, to, rest } = linkOf(world, words);
      none(rest);
      if (world.cluster.waiting(from, to).length === 0) throw idle(from, to);
      world.cluster.drop(from, to);
    },
  },
  duplicate: {
    takes: "NODE -> NODE",
    does: "the oldest message that waits on this link waits there twice",
    run(world, words) {
      const { from, to, rest } = linkOf(world, words);
      none(rest);
      if (!world.cluster.duplicate(from, to)) throw idle(from, to);
    },
  },
  message: {
    takes: "NODE -> NODE MESSAGE",
    does: "such a message arrives, whether or not the first server has ever sent it, or exists",
    run(world, words) {
      const [from, [to = "", ...rest]] = around("->", words);
      world.running(to).receive(one(from), readMessage(rest));
    },
  },
  stabilize: {
    takes: "[NODE ...]",
    does: "delivers until nothing is on its way, or nothing among these servers; no time passes",
    run(world, words) {
      world.cluster.settle(words.length === 0 ? world.cluster.ids : known(world.cluster, words));
    },
  },

  snapshot: {
    takes: "NODE [keep=COUNT]",
    does: "the server takes a snapshot of what it has applied, and lets go of its log up to there, or of all but a few",
    run(world, words) {
      const [id, ...rest] = some(words);
      const server = world.running(id);
      const fields = new Fields(rest);
      const keep = fields.number("keep") ?? 0;
      fields.end();
      server.takeSnapshot();
      server.compact(server.snapshot.index - keep);
    },
  },
  draw: {
    takes: "NODE",
    does: "the whole of the snapshot that this server was last offered arrives there",
    run(world, words) {
      const id = one(words);
      if (!world.cluster.draw(id)) throw new Error(`there is no snapshot that ${id} could draw`);
    },
  },
  "lose-snapshot": {
    takes: "NODE INDEX",
    does: "the server finds that its snapshot up to there is damaged",
    run(world, words) {
      const [id, index] = two(words);
      world.running(id).step({ type: "snapshot-lost", index: logIndex(wholeNumber(index)) });
    },
  },

  join: {
    takes: "NODE",
    does: "a new server starts that knows nobody, linked to all others",
    run: (world, words) => {
      world.cluster.join(one(words));
    },
  },
  leave: {
    takes: "NODE",
    does: "a server goes for good",
    run(world, words) {
      const { id } = world.cluster.at(one(words));
      world.cluster.leave(id);
      world.transcript.forget(id);
    },
  },
  wipe: {
    takes: "NODE",
    does: "a machine loses its disk, and starts again under its old name; the others do not admit it",
    detail: "stories",
    run(world, words) {
      const { id } = world.cluster.at(one(words));
      world.transcript.forget(id);
      world.cluster.wipe(id);
    },
  },

  partition: {
    takes: "NODE ... | NODE ...",
    does: "from now on nothing arrives from one side at the other, and nobody notices",
    run: (world, words) => forEachPair(world.cluster, words, (one, other) => world.cluster.mute(one, other)),
  },
  cut: {
    takes: "NODE ... | NODE ...",
    does: "breaks the links between the two sides, and everybody notices",
    run: (world, words) => forEachPair(world.cluster, words, (one, other) => world.cluster.cut(one, other)),
  },
  heal: {
    takes: "",
    does: "ends every partition and mends every link",
    run({ cluster }, words) {
      none(words);
      for (const id of cluster.ids) {
        cluster.rejoin(id);
        for (const other of cluster.ids) cluster.heal(id, other);
      }
    },
  },

  crash: {
    takes: "NODE",
    does: "the server's process dies; what is on its way to it, from it and to its disk is lost, and its links break",
    detail: "stories",
    run(world, words) {
      const { id } = world.running(one(words));
      world.cluster.crash(id);
      world.transcript.forget(id);
    },
  },
  restart: {
    takes: "NODE",
    does: "starts a server that crashed from what its disk holds",
    run(world, words) {
      const id = one(words);
      if (world.cluster.at(id).isRunning) throw new Error(`${id} is not down`);
      world.cluster.restart(id);
    },
  },
  "hold-disk": {
    takes: "NODE",
    does: 'from now on nothing this server writes is durable before "persist" says so',
    run(world, words) {
      world.cluster.at(one(words)).diskIsSlow = true;
    },
  },
  persist: {
    takes: "NODE",
    does: "the oldest write of a held disk becomes durable, and what waited for it goes out",
    run(world, words) {
      const server = world.running(one(words));
      const [oldest] = server.writes;
      if (oldest === undefined) throw new Error(`nothing is on its way to the disk of ${server.id}`);
      world.transcript.say(`${server.id} has write ${oldest.persist.seq} on its disk`);
      world.transcript.say(...oldest.messages.map((outgoing) => `  ${textOfOutgoing(outgoing, "->")}`));
      server.fsync(1);
    },
  },

  status: {
    takes: "[NODE ...]",
    does: "a line on each server, or on these",
    run({ cluster, transcript }, words) {
      const ids = words.length === 0 ? cluster.ids : known(cluster, words);
      transcript.say(...ids.map((id) => textOfServer(cluster.at(id))));
    },
  },
  applied: {
    takes: "[NODE ...]",
    does: "what the state machine of each server was given since its start, or of these",
    run(world, words) {
      const ids = words.length === 0 ? world.cluster.running.map(({ id }) => id) : known(world.cluster, words);
      for (const id of ids) world.transcript.say(textOfApplied(world.running(id)));
    },
  },
};

const idle = (from: NodeId, to: NodeId): Error => new Error(`nothing like that waits from ${from} to ${to}`);

function linkOf({ cluster }: World, words: readonly string[]): { from: NodeId; to: NodeId; rest: string[] } {
  const [before, [to = "", ...rest]] = around("->", words);
  return { from: cluster.at(one(before)).id, to: cluster.at(to).id, rest };
}

function wishOf(cluster: Cluster, [type, ...words]: readonly [string, ...string[]]): Wish {
  const placeOf = (id: NodeId): Place => ({ url: urlOf(id), incarnation: cluster.at(id).config.incarnation });
  switch (type) {
    case "add":
    case "add-learner": {
      const id = one(words);
      return { type: "add", id, votes: type === "add", priority: 0, ...placeOf(id) };
    }
    case "remove":
    case "promote":
    case "demote":
      return { type, id: one(words) };
    case "replace": {
      const [id, by] = two(words);
      return { type, id, by, ...placeOf(by) };
    }
    case "meet": {
      const id = one(words);
      return { type: "move", id, url: urlOf(id), incarnation: incarnationOf(id, 1) };
    }
    case "move": {
      const id = one(words);
      return { type, id, ...placeOf(id) };
    }
    case "prefer": {
      const [id, priority] = two(words);
      return { type, id, priority: wholeNumber(priority) };
    }
    default:
      throw new Error(`there is no wish "${type}"`);
  }
}

const known = (cluster: Cluster, ids: readonly string[]): NodeId[] => ids.map((id) => cluster.at(id).id);

function forEachPair(cluster: Cluster, words: readonly string[], act: (one: NodeId, other: NodeId) => void): void {
  const [left, right] = around("|", words).map((side) => known(cluster, some(side)));
  for (const id of left ?? []) for (const other of right ?? []) act(id, other);
}

/** A leader has no election timer. */
function withTimer(world: World, id: NodeId): NodeId {
  if (world.running(id).role === "leader") throw new Error(`${id} leads already`);
  return id;
}
