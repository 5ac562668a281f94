import * as assert from "uvu/assert";
import { Asks, type Settle } from "../../src/actor/asks.ts";
import { encodeError, packed } from "../../src/actor/protocol.ts";
import { ConclaveError, type ErrorCode } from "../../src/errors.ts";
import * as v from "../../src/shape.ts";
import { codeOf, HandClock } from "../support/network.ts";
import { suite } from "../support/suite.ts";

const test = suite("actor/asks");

const codec = packed(v.number());
const LINK = { name: "a link" };
const OTHER = { name: "another link" };
/** No value begins with this byte. */
const NO_VALUE = Uint8Array.of(63);

function question(options: { timeoutMs?: number; signal?: AbortSignal; carrier?: object } = {}) {
  const clock = new HandClock();
  const asks = new Asks(clock);
  const sent: { correlation: number; settle: Settle<number> }[] = [];
  const ask = (): Promise<number> =>
    asks.ask({ timeoutMs: options.timeoutMs ?? 1_000, signal: options.signal }, codec, (correlation, settle) => {
      sent.push({ correlation, settle });
      settle.over(options.carrier ?? LINK);
    });
  const answer = ask();
  return { clock, asks, sent, ask, answer, correlation: sent[0]?.correlation ?? 0 };
}

const refusal = (code: ErrorCode): Uint8Array => encodeError(new ConclaveError(code, "no"));

test("an answer settles its question, and questions share a timer, which leaves none behind", async () => {
  const { clock, asks, answer, ask, sent, correlation } = question();
  const second = ask();
  assert.is(clock.timers, 1);
  asks.answered(correlation, LINK, codec.encode(7));
  asks.answered(sent[1]?.correlation ?? 0, LINK, codec.encode(8));
  assert.equal([await answer, await second], [7, 8]);
  clock.advance(1_000);
  assert.is(clock.timers, 0);
});

test("each question has its own deadline", async () => {
  const { clock, asks, answer } = question();
  const ended: string[] = [];
  const patient = asks.ask({ timeoutMs: 3_000 }, codec, () => {});
  const hasty = asks.ask({ timeoutMs: 10 }, codec, () => {});
  const all = Object.entries({ answer, patient, hasty }).map(([name, one]) =>
    codeOf(one).then((code) => ended.push(`${name} ${code}`)),
  );
  for (const ms of [10, 990, 2_000]) {
    clock.advance(ms);
    await new Promise<void>((resolve) => setImmediate(resolve));
    ended.push("|");
  }
  await Promise.all(all);
  assert.equal(ended, ["hasty TIMEOUT", "|", "answer TIMEOUT", "|", "patient TIMEOUT", "|"]);
});

test("answers find their questions in any order", async () => {
  const { asks, ask, sent, answer } = question();
  const second = ask();
  asks.answered(sent[1]?.correlation ?? 0, LINK, codec.encode(2));
  asks.answered(sent[0]?.correlation ?? 0, LINK, codec.encode(1));
  assert.equal([await answer, await second], [1, 2]);
});

test("correlation 0, which means none, is never used, and no two open questions share one", () => {
  const { ask, sent, asks } = question();
  const open = Array.from({ length: 100 }, () => ask().catch(() => {}));
  assert.is(open.length, 100);
  const used = sent.map(({ correlation }) => correlation);
  assert.is(new Set(used).size, 101);
  assert.ok(used.every((correlation) => correlation > 0));
  assert.not.throws(() => asks.answered(0, LINK, codec.encode(1)));
});

test("an answer over another link than the question's is ignored", async () => {
  const { asks, answer, correlation } = question();
  asks.answered(correlation, OTHER, codec.encode(1));
  asks.refused(correlation, OTHER, refusal("BUSY"));
  asks.answered(correlation, LINK, codec.encode(2));
  assert.is(await answer, 2);
});

test("a second answer, and one that nobody asked for, is ignored", async () => {
  const { asks, answer, correlation } = question();
  asks.answered(correlation, LINK, codec.encode(1));
  asks.answered(correlation, LINK, codec.encode(2));
  asks.answered(4_711, LINK, codec.encode(3));
  asks.refused(correlation, LINK, refusal("BUSY"));
  assert.is(await answer, 1);
});

test("an error keeps its code, its message and its details", async () => {
  const { asks, answer, correlation } = question();
  const error = new ConclaveError("NOT_LEADER", "n2 leads", { details: { leader: "n2" } });
  asks.refused(correlation, LINK, encodeError(error));
  const caught = await answer.catch((reason: unknown) => reason);
  assert.instance(caught, ConclaveError);
  if (!(caught instanceof ConclaveError)) return;
  assert.equal([caught.code, caught.message, caught.details], ["NOT_LEADER", "n2 leads", { leader: "n2" }]);
});

test("an answer and an error that can't be read are BAD_MESSAGE", async () => {
  const { asks, answer, ask, sent, correlation } = question();
  const second = ask();
  asks.answered(correlation, LINK, NO_VALUE);
  asks.refused(sent[1]?.correlation ?? 0, LINK, NO_VALUE);
  assert.is(await codeOf(answer), "BAD_MESSAGE");
  assert.is(await codeOf(second), "BAD_MESSAGE");
});

test("when the time is up the question fails with TIMEOUT, not before", async () => {
  const { clock, asks, answer, correlation } = question({ timeoutMs: 100 });
  let settled = false;
  void answer
    .catch(() => {})
    .then(() => {
      settled = true;
    });
  clock.advance(99);
  await Promise.resolve();
  assert.is(settled, false);
  clock.advance(1);
  assert.is(await codeOf(answer), "TIMEOUT");
  asks.answered(correlation, LINK, codec.encode(1)); // Too late, and harmless.
});

test("a signal that has fired sends nothing", async () => {
  const { answer, sent, clock } = question({ signal: AbortSignal.abort() });
  assert.is(await codeOf(answer), "ABORTED");
  assert.is(sent.length, 0);
  assert.is(clock.timers, 0);
});

test("a signal that fires later ends the question, and names the reason", async () => {
  const controller = new AbortController();
  const { answer, clock } = question({ signal: controller.signal });
  controller.abort("changed my mind");
  const caught = await answer.catch((reason: unknown) => reason);
  assert.ok(caught instanceof ConclaveError && caught.code === "ABORTED" && caught.cause === "changed my mind");
  clock.advance(1_000);
  assert.is(clock.timers, 0);
});

test("a question that was answered does not listen to its signal any more", async () => {
  const controller = new AbortController();
  const listeners = { added: 0, removed: 0 };
  const { signal } = controller;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...given: Parameters<typeof add>) => {
    listeners.added++;
    add(...given);
  };
  signal.removeEventListener = (...given: Parameters<typeof remove>) => {
    listeners.removed++;
    remove(...given);
  };
  const { asks, answer, correlation } = question({ signal });
  asks.answered(correlation, LINK, codec.encode(1));
  await answer;
  assert.equal(listeners, { added: 1, removed: 1 });
});

test("a lost carrier takes its questions with it, and no others", async () => {
  const { asks, answer, clock } = question();
  const other = asks.ask({ timeoutMs: 1_000 }, codec, (_correlation, settle) => settle.over(OTHER));
  asks.lost(LINK, "gone");
  assert.is(await codeOf(answer), "UNREACHABLE");
  assert.is(clock.timers, 1);
  asks.lost(OTHER, "gone too");
  assert.is(await codeOf(other), "UNREACHABLE");
});

test("what moved to a link is answered over it, and lost with it", async () => {
  const ENDPOINT = { name: "an endpoint" };
  const { asks, answer, ask, correlation } = question({ carrier: ENDPOINT });
  const second = ask();
  asks.moved(ENDPOINT, LINK);
  asks.lost(ENDPOINT, "does not matter any more");
  asks.answered(correlation, LINK, codec.encode(5));
  assert.is(await answer, 5);
  asks.lost(LINK, "gone");
  assert.is(await codeOf(second), "UNREACHABLE");
});

test("sending that throws fails the question with what was thrown", async () => {
  const clock = new HandClock();
  const asks = new Asks(clock);
  const answer = asks.ask({ timeoutMs: 1_000 }, codec, () => {
    throw new ConclaveError("INVALID_ARGUMENT", "can't be sent");
  });
  assert.is(await codeOf(answer), "INVALID_ARGUMENT");
  clock.advance(1_000);
  assert.is(clock.timers, 0);
});

test("after closing, questions open and new fail with CLOSED, and no timer is left", async () => {
  const { asks, answer, ask, clock } = question();
  asks.closeAll();
  assert.is(await codeOf(answer), "CLOSED");
  assert.is(await codeOf(ask()), "CLOSED");
  assert.is(clock.timers, 0);
});

test.run();
