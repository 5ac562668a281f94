/** Who says what to a node, and whose business it is. */

import type { Answer, Peer, Sender } from "../actor/index.ts";
import { ConclaveError, messageOf } from "../errors.ts";
import { NODE_ACTOR, type NodeAnswer, type NodeMessage, type NodeStatus, nodeProtocol } from "../protocol/node.ts";
import { isAnswer, type RaftEvent } from "../raft/index.ts";
import type { Activator } from "./activator.ts";
import type { Announcer } from "./announcer.ts";
import type { Clients } from "./clients.ts";
import type { Comparisons } from "./comparisons.ts";
import type { DiskRoom } from "./disk-room.ts";
import type { Members } from "./members.ts";
import type { Peers } from "./peers.ts";
import { decodeMessage } from "./raft-codec.ts";
import type { Snapshots } from "./snapshots.ts";

export interface ReceptionStory {
  readonly event: "message-refused";
  readonly from: string;
  readonly reason: string;
}

export interface ReceptionParts {
  readonly peers: Peers;
  readonly members: Members;
  readonly clients: Clients;
  readonly snapshots: Snapshots;
  readonly announcer: Announcer;
  readonly room: DiskRoom;
  readonly activator: Activator;
  readonly comparisons: Comparisons;
  status(): NodeStatus;
  readonly tell: (story: ReceptionStory) => void;
}

export class Reception {
  readonly #parts: ReceptionParts;

  constructor(parts: ReceptionParts) {
    this.#parts = parts;
  }

  /** @param events gets what is for the core */
  take(message: NodeMessage, sender: Sender, answer: Answer<NodeAnswer> | null, events: RaftEvent[]): void {
    if (answer === null) {
      if (sender.peer !== null) this.#takeWord(message, sender.peer, events);
      return;
    }
    try {
      this.#takeQuestion(message, sender, answer, events);
    } catch (error) {
      // Bytes that can't be decoded end here; nothing was proposed.
      answer.fail(error instanceof ConclaveError ? error : new ConclaveError("BAD_MESSAGE", messageOf(error)));
    }
  }

  /** What others tell without waiting for an answer. */
  #takeWord(message: NodeMessage, peer: Peer, events: RaftEvent[]): void {
    if (message.type === "keep-session") {
      this.#parts.clients.holdSession(message.session, peer);
      return;
    }
    if (message.type === "end-poll") {
      this.#parts.clients.endPoll(message.id, peer);
      return;
    }
    if (message.type === "release-snapshot") {
      this.#parts.snapshots.backups.release(message.index, peer);
      return;
    }
    if (!this.#parts.peers.has(peer)) return; // No node, or one whose link is lost: it has nothing more to say.
    switch (message.type) {
      case "raft":
        this.#takeRaft(message.packed, peer, events);
        return;
      case "recognized":
        this.#parts.members.recognized(peer);
        return;
      case "unrecognized":
        this.#parts.members.unrecognized(peer);
        return;
      case "am-i-a-member": {
        const index = this.#parts.members.isForgotten(peer);
        if (index !== null) peer.ref(NODE_ACTOR, nodeProtocol).tell({ type: "not-a-member", index });
        return;
      }
      case "disk-full":
        this.#parts.room.note(peer.hello.name, message.isFull);
        return;
      case "machines":
        this.#parts.activator.learn(peer, message.machines);
        return;
      case "state-digest":
        if (this.#parts.peers.speaksFor(peer)) this.#parts.comparisons.learn(peer.hello.name, message);
        return;
      case "not-a-member":
        this.#parts.members.disowned(peer, message.index);
        return;
      default:
        return; // The rest are questions; without anyone to answer there is nothing to do.
    }
  }

  #takeRaft(bytes: Uint8Array, peer: Peer, events: RaftEvent[]): void {
    const from = peer.hello.name;
    try {
      const message = decodeMessage(bytes);
      // An answer counts only from who is asked; a request is answered whoever asks (thesis, 4.1).
      if (!isAnswer(message) || this.#parts.peers.speaksFor(peer)) events.push({ type: "message", from, message });
    } catch (error) {
      this.#parts.tell({ event: "message-refused", from, reason: messageOf(error) });
    }
  }

  #takeQuestion(message: NodeMessage, sender: Sender, answer: Answer<NodeAnswer>, events: RaftEvent[]): void {
    switch (message.type) {
      case "commands":
        this.#parts.clients.takeBatch(message.batch, sender.peer, answer, events);
        return;
      case "open-session":
        this.#parts.clients.openSession(sender.peer, answer, events);
        return;
      case "queries":
        this.#parts.clients.read(message, sender.peer, answer, events);
        return;
      case "poll":
        this.#parts.clients.poll(message, sender.peer, answer);
        return;
      case "subscribe":
        if (sender.peer !== null) this.#parts.announcer.subscribe(sender.peer, sender.name);
        answer.ok({ type: "leader", view: this.#parts.announcer.view });
        return;
      case "status":
        answer.ok({ type: "status", status: this.#parts.status() });
        return;
      case "members":
        answer.ok({ type: "members", members: this.#parts.members.views });
        return;
      case "transfer":
        this.#parts.clients.transfer(message.to, answer, events);
        return;
      case "join":
        this.#parts.members.join(message, sender.peer, answer, events);
        return;
      case "change":
        this.#parts.members.change(message.wishes, answer, events);
        return;
      case "take-snapshot":
        this.#parts.clients.catchUp(
          () => this.#parts.snapshots.backups.begin(sender.peer, answer),
          sender.peer,
          answer,
          events,
        );
        return;
      case "lend-snapshot":
        this.#lend(message.agreedAt, sender.peer, answer, events);
        return;
      case "compare":
        this.#parts.comparisons.checkIdle();
        this.#parts.clients.compare(sender.peer, answer, events);
        return;
      case "read-snapshot": {
        const { index, offset } = message;
        const node = sender.peer !== null && this.#parts.peers.has(sender.peer) ? sender.peer : null;
        if (node !== null) {
          this.#parts.snapshots.backups.touch(index, node);
          this.#parts.snapshots.serve(index, offset).then(answer.ok, answer.fail);
        } else this.#parts.snapshots.backups.read(index, offset, sender.peer, answer);
        return;
      }
      default:
        throw new ConclaveError("BAD_MESSAGE", `A message of kind ${message.type} asks nothing.`);
    }
  }

  /** @throws ConclaveError `NOT_ENTITLED`; `BUSY` if this state may be as wrong as the other; like `Clients.read` */
  #lend(agreedAt: number, peer: Peer | null, answer: Answer<NodeAnswer>, events: RaftEvent[]): void {
    const { peers, comparisons, clients, snapshots } = this.#parts;
    if (peer === null || !peers.speaksFor(peer)) {
      throw new ConclaveError("NOT_ENTITLED", "Only a member may have the state of another one.");
    }
    comparisons.checkAgreed(agreedAt);
    // It has to hold all that the other one has ever shown.
    clients.catchUp(() => snapshots.backups.begin(peer, answer), peer, answer, events);
  }
}
