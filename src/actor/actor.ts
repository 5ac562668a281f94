/** What an actor is to the one who writes it. */

import type { ConclaveError } from "../errors.ts";
import type { Hello } from "../link/index.ts";
import type { Asking } from "./protocol.ts";

/** A way to reach an actor, the same whether it lives here or elsewhere. */
export interface ActorRef<M, A> {
  /**
   * Sends and forgets. False if it is certain that the message will not arrive: no link, or a full mailbox in this
   * process.
   */
  tell(message: M): boolean;
  /**
   * Sends and waits for the answer.
   *
   * @throws ConclaveError `TIMEOUT`, `ABORTED`, `UNREACHABLE`, `BUSY`, `CLOSED`, `TOO_LARGE`, `UNKNOWN_ACTOR`, or
   * whatever code the other actor answers with
   */
  ask(message: M, options: AskOptions): Promise<A>;
}

export interface AskOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** The far end of a link: one run of one process. */
export interface Peer {
  readonly hello: Hello;
  /** What was sent there and has not left this process yet: much, if the other side reads slowly. */
  readonly bufferedBytes: number;
  /** Unlike a ref by address, this reaches that very process or nobody. */
  ref<M, A>(name: string, protocol: Asking<M, A>): ActorRef<M, A>;
}

/** The question's other half. Only the first call counts. */
export interface Answer<A> {
  ok(answer: A): void;
  fail(error: ConclaveError): void;
}

export interface Sender {
  /** The name of the actor that sent this; "" if it was none. */
  readonly name: string;
  /** The process it sits in; null if that is this one. */
  readonly peer: Peer | null;
}

export type Delivery<M, A, I = never> =
  | { readonly type: "message"; readonly message: M; readonly sender: Sender; readonly answer: Answer<A> | null }
  /** A watched link came up or was lost. Messages that came over it before stand before this in the mailbox. */
  | { readonly type: "link"; readonly up: boolean; readonly url: string | null; readonly peer: Peer }
  /** Something the actor's own process wanted it to know. */
  | { readonly type: "internal"; readonly event: I };

/** Handles a batch. One that throws is logged, and whoever waits for an answer from the batch gets `ACTOR_FAILED`. */
export type Behaviour<M, A, I = never> = (batch: readonly Delivery<M, A, I>[]) => void | Promise<void>;

/** What an actor may do beside handling its mail. */
export interface ActorContext<I = never> {
  readonly name: string;
  /** An actor by its address, `ws://host:port/name`. */
  ref<M, A>(address: string, protocol: Asking<M, A>): ActorRef<M, A>;
  /** Keeps a link to a process, and reports when it comes up and when it is lost. Undone by the function returned. */
  keepLink(url: string): () => void;
  /** Reports when the link to this peer is lost; at once if it already is. */
  watch(peer: Peer): void;
  /** Puts something into the actor's own mailbox. */
  post(event: I): void;
}
