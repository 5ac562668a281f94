/** The actors of one process, and how they reach those of others. */

import type { ClientEnvironment } from "../environment.ts";
import { busy, ConclaveError, messageOf } from "../errors.ts";
import {
  type Backoff,
  CloseCode,
  DEFAULT_BACKOFF,
  DEFAULT_LINK_LIMITS,
  FIRST_FREE_KIND,
  type Frame,
  HEADER_BYTES,
  type Hello,
  type Link,
  type LinkLimits,
  PROTOCOL_VERSION,
  type Refusal,
} from "../link/index.ts";
import type { ActorContext, ActorRef, Answer, Behaviour, Delivery, Peer, Sender } from "./actor.ts";
import { Asks } from "./asks.ts";
import { type LinkStory, Links, type ListenAt, type Watcher } from "./links.ts";
import { Mailbox } from "./mailbox.ts";
import {
  type Asking,
  decodeLetter,
  encodeError,
  encodeLetter,
  type Letter,
  normalUrl,
  type Protocol,
  parseAddress,
} from "./protocol.ts";

/** What happens to links and actors that is worth telling. */
export type ActorStory =
  | LinkStory
  | { readonly event: "listening"; readonly url: string }
  | { readonly event: "handler-failed"; readonly actor: string; readonly error: string; readonly count: number }
  | { readonly event: "mailbox-full"; readonly actor: string; readonly refused: number };

export interface SystemOptions {
  readonly environment: ClientEnvironment;
  readonly cluster: string;
  /** What this process is called: a server's id, or a word for what it does. */
  readonly name: string;
  /** The life of the data behind the name; a process without data leaves it out and gets a new one each time. */
  readonly incarnation?: string;
  /** The life of the cluster that its data belongs to. */
  readonly epoch?: string | null;
  /** Where others reach this process, if it listens. */
  readonly url?: string;
  readonly linkLimits?: Partial<LinkLimits>;
  readonly backoff?: Backoff;
  /** How many deliveries may wait in one mailbox; those of one link may take an eighth of what is free. */
  readonly mailboxMax?: number;
  /** May the other side, which this one has dialled or not, be talked to? A refusal closes the link. */
  readonly verify?: (remote: Hello, isDialled: boolean) => Promise<Refusal | null>;
  readonly tell?: (story: ActorStory) => void;
}

const DEFAULT_MAILBOX_MAX = 65_536;
/** A mailbox is emptied in every turn of the event loop, and a turn that had so much to do takes about so long. */
const MAILBOX_RETRY_MS = 50;
/** A full mailbox is told of once in so many refusals. */
const REFUSALS_PER_STORY = 1_024;

/** Frame kinds of this layer. */
const Kind = {
  tell: FIRST_FREE_KIND,
  ask: FIRST_FREE_KIND + 1,
  answer: FIRST_FREE_KIND + 2,
  error: FIRST_FREE_KIND + 3,
} as const;

/** An actor from outside: what can be delivered to it, whatever its protocol. */
interface Inbox extends Watcher {
  /** A message from another process. */
  remote(payload: Uint8Array, sender: Sender, reply: Reply | null): void;
  /** A message from this process, as it is. */
  local(message: unknown, sender: Sender, answer: Answer<unknown> | null): boolean;
  close(): void;
}

/** Sends an answer back over the link that the question came by. */
type Reply = (kind: typeof Kind.answer | typeof Kind.error, body: Uint8Array) => void;

export class ActorSystem {
  readonly #options: SystemOptions;
  readonly #url: string | null;
  readonly #links: Links;
  readonly #asks: Asks;
  readonly #actors = new Map<string, Inbox>();
  /** How often the handler of each actor has thrown. */
  readonly #failures = new Map<string, number>();
  readonly #linkLimits: LinkLimits;
  #closing: Promise<void> | null = null;

  /** @throws ConclaveError `INVALID_ARGUMENT` if a name is no well-formed text, or the URL none */
  constructor(options: SystemOptions) {
    const { environment, cluster, name } = options;
    if (!cluster.isWellFormed() || !name.isWellFormed()) {
      throw new ConclaveError(
        "INVALID_ARGUMENT",
        `${JSON.stringify([cluster, name])} are no names: one is cut in two.`,
      );
    }
    this.#options = options;
    this.#url = options.url === undefined ? null : normalUrl(options.url);
    this.#asks = new Asks(environment.clock);
    this.#linkLimits = { ...DEFAULT_LINK_LIMITS, ...options.linkLimits };
    this.#links = new Links({
      environment,
      backoff: options.backoff ?? DEFAULT_BACKOFF,
      link: {
        limits: this.#linkLimits,
        hello: {
          protocol: PROTOCOL_VERSION,
          cluster,
          process: environment.random.id(),
          name,
          incarnation: options.incarnation ?? environment.random.id(),
          epoch: options.epoch ?? null,
          url: this.#url,
        },
        verify: options.verify ?? (() => Promise.resolve(null)),
      },
      peerOf: (link) => this.#peerOf(link),
      onFrames: (link, peer, frames) => this.#received(link, peer, frames),
      onLost: (carrier, reason) => this.#asks.lost(carrier, reason),
      onMoved: (endpoint, link) => this.#asks.moved(endpoint, link),
      tell: (story) => this.#tell(story),
    });
  }

  /** Accepts links; returns the port. @throws ConclaveError `ADDRESS_IN_USE` */
  async listen(at: ListenAt): Promise<number> {
    const port = await this.#links.listen(at);
    this.#tell({ event: "listening", url: this.#url ?? `ws://${at.host}:${port}` });
    return port;
  }

  /**
   * Adds an actor.
   *
   * @throws ConclaveError `INVALID_ARGUMENT` if the name is taken
   */
  spawn<M, A, I = never>(
    name: string,
    protocol: Protocol<M, A>,
    create: (context: ActorContext<I>) => Behaviour<M, A, I>,
  ): ActorRef<M, A> {
    if (this.#actors.has(name)) {
      throw new ConclaveError("INVALID_ARGUMENT", `An actor named "${name}" lives here already.`);
    }
    const { clock } = this.#options.environment;
    const capacity = this.#options.mailboxMax ?? DEFAULT_MAILBOX_MAX;
    const mailbox: Mailbox<Delivery<M, A, I>> = new Mailbox(clock, capacity, (batch) =>
      this.#handle(name, behaviour, batch),
    );
    const inbox = this.#inbox(name, protocol, mailbox);
    const behaviour = create({
      name,
      ref: (address, other) => this.#ref(name, address, other),
      keepLink: (url) => this.#links.keep(inbox, url),
      watch: (peer) => this.#links.watch(inbox, peer),
      post: (event) => mailbox.putOwn({ type: "internal", event }),
    });
    this.#actors.set(name, inbox);
    return this.#localRef("", name);
  }

  /** An actor by its address, `ws://host:port/name`, for code that is not an actor itself. */
  ref<M, A>(address: string, protocol: Asking<M, A>): ActorRef<M, A> {
    return this.#ref("", address, protocol);
  }

  /** Ends every actor and takes leave of every peer. Questions still open fail with `CLOSED`. */
  async close(): Promise<void> {
    this.#closing ??= this.#end();
    await this.#closing;
  }

  async #end(): Promise<void> {
    this.#asks.closeAll();
    for (const actor of this.#actors.values()) actor.close();
    await this.#links.close();
  }

  #tell(story: ActorStory): void {
    this.#options.tell?.(story);
  }

  #inbox<M, A, I>(name: string, protocol: Protocol<M, A>, mailbox: Mailbox<Delivery<M, A, I>>): Inbox {
    let refused = 0;
    const put = (message: M, sender: Sender, answer: Answer<A> | null): boolean => {
      if (mailbox.put({ type: "message", message, sender, answer }, sender.peer)) return true;
      if (refused++ % REFUSALS_PER_STORY === 0) this.#tell({ event: "mailbox-full", actor: name, refused });
      answer?.fail(busy(`The mailbox of "${name}" is full.`, MAILBOX_RETRY_MS));
      return false;
    };
    return {
      remote: (payload, sender, reply) => {
        const answer = reply === null ? null : answerOver(reply, protocol);
        let message: M;
        try {
          message = protocol.message.decode(payload);
        } catch (error) {
          answer?.fail(new ConclaveError("BAD_MESSAGE", `"${name}" does not understand: ${messageOf(error)}`));
          return;
        }
        put(message, sender, answer);
      },
      local: (message, sender, answer) => put(message as M, sender, answer),
      link: (up, url, peer) => mailbox.putOwn({ type: "link", up, url, peer }),
      close: () => mailbox.close(),
    };
  }

  #handle<M, A, I>(name: string, behaviour: Behaviour<M, A, I>, batch: readonly Delivery<M, A, I>[]) {
    const failed = (error: unknown): void => {
      const count = (this.#failures.get(name) ?? 0) + 1;
      this.#failures.set(name, count);
      this.#tell({ event: "handler-failed", actor: name, error: messageOf(error), count });
      for (const delivery of batch) {
        if (delivery.type !== "message") continue;
        delivery.answer?.fail(new ConclaveError("ACTOR_FAILED", `"${name}" failed: ${messageOf(error)}`));
      }
    };
    try {
      return behaviour(batch)?.catch(failed);
    } catch (error) {
      failed(error);
      return undefined;
    }
  }

  #ref<M, A>(from: string, address: string, protocol: Asking<M, A>): ActorRef<M, A> {
    const { url, name } = parseAddress(address);
    if (url === this.#url) return this.#localRef(from, name);
    return this.#remoteRef(from, name, protocol, (frame) => this.#links.send(url, frame));
  }

  #localRef<M, A>(from: string, name: string): ActorRef<M, A> {
    const sender: Sender = { name: from, peer: null };
    return {
      tell: (message) => this.#actors.get(name)?.local(message, sender, null) ?? false,
      ask: (message, options) =>
        this.#asks.ask<A>(options, null, (_correlation, settle) => {
          const actor = this.#actors.get(name);
          if (actor === undefined) settle.fail(unknownActor(name));
          else actor.local(message, sender, { ok: (value) => settle.ok(value as A), fail: settle.fail });
        }),
    };
  }

  #remoteRef<M, A>(
    from: string,
    to: string,
    protocol: Asking<M, A>,
    send: (frame: Frame) => object | null,
  ): ActorRef<M, A> {
    const body = (message: M): Uint8Array => encodeLetter({ to, from, payload: protocol.message.encode(message) });
    return {
      tell: (message) => {
        const bytes = body(message);
        return this.#fits(bytes) && send({ kind: Kind.tell, correlation: 0, body: bytes }) !== null;
      },
      ask: (message, options) =>
        this.#asks.ask<A>(options, protocol.answer, (correlation, settle) => {
          const bytes = body(message);
          if (!this.#fits(bytes)) {
            settle.fail(new ConclaveError("TOO_LARGE", `The message to "${to}" exceeds the largest of the link.`));
            return;
          }
          const carrier = send({ kind: Kind.ask, correlation, body: bytes });
          if (carrier === null) settle.fail(new ConclaveError("UNREACHABLE", `There is no way to send to "${to}".`));
          else settle.over(carrier);
        }),
    };
  }

  #fits(body: Uint8Array): boolean {
    return HEADER_BYTES + body.byteLength <= this.#linkLimits.messageBytesMax;
  }

  #peerOf(link: Link): Peer {
    const hello = link.remote;
    if (hello === null) throw new Error("a link without a handshake stands for nobody");
    return {
      hello,
      get bufferedBytes() {
        return link.bufferedBytes;
      },
      ref: (name, protocol) => this.#remoteRef("", name, protocol, (frame) => (link.send(frame) ? link : null)),
    };
  }

  #received(link: Link, peer: Peer, frames: readonly Frame[]): void {
    for (const frame of frames) {
      switch (frame.kind) {
        case Kind.tell:
        case Kind.ask:
          this.#deliver(link, peer, frame);
          break;
        case Kind.answer:
          this.#asks.answered(frame.correlation, link, frame.body);
          break;
        case Kind.error:
          this.#asks.refused(frame.correlation, link, frame.body);
          break;
        default:
          link.close(CloseCode.protocolError, `frames of kind ${frame.kind} are not spoken here`);
          return;
      }
    }
  }

  #deliver(link: Link, peer: Peer, frame: Frame): void {
    let letter: Letter;
    try {
      letter = decodeLetter(frame.body);
    } catch (error) {
      link.close(CloseCode.protocolError, messageOf(error));
      return;
    }
    const reply = frame.kind === Kind.ask ? replyOver(link, frame.correlation) : null;
    const actor = this.#actors.get(letter.to);
    if (actor === undefined) reply?.(Kind.error, encodeError(unknownActor(letter.to)));
    else actor.remote(letter.payload, { name: letter.from, peer }, reply);
  }
}

const unknownActor = (name: string): ConclaveError =>
  new ConclaveError("UNKNOWN_ACTOR", `No actor "${name}" lives here.`);

function replyOver(link: Link, correlation: number): Reply {
  return (kind, body) => {
    if (link.send({ kind, correlation, body }) || !link.isOpen) return;
    const error = new ConclaveError("ANSWER_TOO_LARGE", "The answer exceeds the largest message of the link.");
    link.send({ kind: Kind.error, correlation, body: encodeError(error) });
  };
}

/** Encodes an actor's answer for the link. Only the first call counts. */
function answerOver<M, A>(reply: Reply, protocol: Protocol<M, A>): Answer<A> {
  let open = true;
  return {
    ok: (answer) => {
      if (open) reply(Kind.answer, protocol.answer.encode(answer));
      open = false;
    },
    fail: (error) => {
      if (open) reply(Kind.error, encodeError(error));
      open = false;
    },
  };
}
