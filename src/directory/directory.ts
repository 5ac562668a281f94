/**
 * The directory actor: it registers names and pushes leader changes. All it knows is soft state, told anew by its
 * registrants when it was restarted; the cluster does not need it to be right, or to be there.
 */

import { type ActorContext, type Behaviour, type Delivery, normalUrl, type Peer } from "../actor/index.ts";
import { busy, ConclaveError } from "../errors.ts";
import type { DirectoryAnswer, DirectoryMessage, Member } from "../protocol/directory.ts";
import { type LeaderView, NO_LEADER } from "../protocol/leader.ts";
import { Subscribers } from "../protocol/subscribers.ts";

/** What a directory has to tell. */
export type DirectoryStory =
  | { readonly event: "member-registered"; readonly name: string; readonly url: string }
  | { readonly event: "member-gone"; readonly name: string }
  | { readonly event: "leader-announced"; readonly term: number; readonly leader: string }
  | { readonly event: "leader-resigned"; readonly term: number; readonly leader: string };

/** There is something left to do. */
export type DirectoryEvent = "continue";

type DirectoryDelivery = Delivery<DirectoryMessage, DirectoryAnswer, DirectoryEvent>;

export interface DirectoryParts {
  /** Whose name is this, until a node tells who the members are? Null if anybody may take it. */
  ownerOf(name: string): Address | null;
  /** Takes what is worth telling. */
  tell(story: DirectoryStory): void;
}

/** A process as its handshake has it. */
type Address = Pick<Peer["hello"], "name" | "url">;

const NAMES_MAX = 10_000;
/** A name is free again when its link is lost, and nobody knows when that is. */
const NAMES_RETRY_MS = 1_000;

export function directoryActor(
  context: ActorContext<DirectoryEvent>,
  { ownerOf, tell }: DirectoryParts,
): Behaviour<DirectoryMessage, DirectoryAnswer, DirectoryEvent> {
  const members = new Map<string, { readonly member: Member; readonly owner: Peer | null }>();
  /** Where each node is, as a node has told, and the entry of the log that says so. */
  let nodes: { readonly index: number; readonly urls: ReadonlyMap<string, string> } | null = null;
  const subscribers = new Subscribers(() => context.post("continue"));
  let view: LeaderView = NO_LEADER;
  /** Who leads, or led, the term of the view: a term has one leader, whatever became of it. */
  let holder: string | null = null;

  const ownerNow = (name: string): Address | null => {
    if (nodes === null) return ownerOf(name);
    const url = nodes.urls.get(name);
    return url === undefined ? null : { name, url };
  };

  /** Whoever speaks for a node has to be that node: a claim of a term far ahead would silence all that come after it. */
  const checkSpeaker = (name: string, url: string | null, peer: Peer | null): void => {
    const owner = ownerNow(name);
    const isOwner = owner !== null && peer?.hello.name === owner.name && peer.hello.url === owner.url;
    const isItsUrl = owner?.url == null || url === null || url === owner.url;
    if (isOwner && isItsUrl) return;
    throw new ConclaveError("NOT_ENTITLED", `Only the node ${name} itself may speak for ${name}.`);
  };

  /** A name that is no node's belongs to the link that it came by first, for as long as that stands. */
  const checkTaker = (member: Member, peer: Peer | null): void => {
    if (ownerNow(member.name) !== null) {
      checkSpeaker(member.name, member.url, peer);
      return;
    }
    const holder = members.get(member.name);
    if (holder !== undefined && holder.owner !== peer) {
      throw new ConclaveError("NOT_ENTITLED", `The name ${member.name} is taken.`);
    }
    if (holder === undefined && members.size >= NAMES_MAX) {
      throw busy(`The directory holds ${NAMES_MAX} names and takes no more.`, NAMES_RETRY_MS);
    }
  };

  const change = (next: LeaderView): void => {
    view = next;
    subscribers.tell(view);
  };

  /** An older leader can't overwrite a newer one, nor one leader of a term another. */
  const claim = (term: number, id: string, url: string): void => {
    if (term < view.term) throw stale(`term ${view.term} is known`);
    if (term === view.term && holder !== null && holder !== id) throw stale(`term ${term} is ${holder}'s`);
    if (term === view.term && view.leader?.url === url) return;
    holder = id;
    change({ term, leader: { id, url } });
    tell({ event: "leader-announced", term, leader: id });
  };

  const resign = (term: number, id: string): void => {
    if (term !== view.term || view.leader?.id !== id) return;
    change({ term, leader: null });
    tell({ event: "leader-resigned", term, leader: id });
  };

  /** Members come and go; what one of them tells of it counts, unless another one has told of later changes. */
  const learn = (index: number, members: readonly Member[], peer: Peer | null): void => {
    checkSpeaker(peer?.hello.name ?? "", null, peer);
    if (index <= (nodes?.index ?? 0)) return;
    nodes = { index, urls: new Map(members.map(({ name, url }) => [name, normalUrl(url)])) };
  };

  const register = (member: Member, owner: Peer | null): void => {
    checkTaker(member, owner);
    members.set(member.name, { member, owner });
    if (owner !== null) context.watch(owner);
    tell({ event: "member-registered", name: member.name, url: member.url });
  };

  const unregister = (name: string): void => {
    if (members.delete(name)) tell({ event: "member-gone", name });
  };

  const answerTo = (message: DirectoryMessage, peer: Peer | null, sender: string): DirectoryAnswer => {
    switch (message.type) {
      case "register":
        register({ name: message.name, url: message.url }, peer);
        return { type: "done" };
      case "unregister":
        if (members.get(message.name)?.owner === peer) unregister(message.name);
        return { type: "done" };
      case "look-up":
        return { type: "member", member: members.get(message.name)?.member ?? null };
      case "list":
        return { type: "members", members: [...members.values()].map(({ member }) => member) };
      case "subscribe":
        if (peer !== null) {
          subscribers.add(peer, sender);
          context.watch(peer);
        }
        return { type: "leader", view };
      case "claim":
        checkSpeaker(message.id, message.url, peer);
        claim(message.term, message.id, message.url);
        return { type: "done" };
      case "members":
        learn(message.index, message.members, peer);
        return { type: "done" };
      case "resign":
        checkSpeaker(message.id, null, peer);
        resign(message.term, message.id);
        return { type: "done" };
    }
  };

  const linkLost = (peer: Peer): void => {
    subscribers.remove(peer);
    for (const [name, { owner }] of members) if (owner === peer) unregister(name);
  };

  const take = (delivery: DirectoryDelivery): void => {
    if (delivery.type === "link") {
      if (!delivery.up) linkLost(delivery.peer);
      return;
    }
    if (delivery.type === "internal") return; // It goes on below.
    const { message, sender, answer } = delivery;
    try {
      const reply = answerTo(message, sender.peer, sender.name);
      answer?.ok(reply);
    } catch (error) {
      if (!(error instanceof ConclaveError)) throw error;
      answer?.fail(error);
    }
  };

  return (batch) => {
    batch.forEach(take);
    // Once a turn, however often it was asked for.
    if (batch.some(({ type }) => type === "internal")) subscribers.run();
  };
}

const stale = (why: string): ConclaveError => new ConclaveError("STALE_CLAIM", `The claim is refused: ${why}.`);
