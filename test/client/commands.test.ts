/** Commands: each takes effect once and in order, however often it has to be sent, and the caller gets the truth. */

import * as assert from "uvu/assert";
import { type Client, ConclaveError, hasCode } from "../../src/client/index.ts";
import { realEnvironment } from "../../src/index.ts";
import { codeOf, eventually } from "../support/network.ts";
import { suite } from "../support/suite.ts";
import { failing, once, onStage, refuse, type Stage, silent, times } from "./fakes.ts";

const numbers = (stage: Pick<Stage, "n1">): number[][] =>
  stage.n1.batches.all.map(({ first, said }) => said.map((_, i) => first + i));

/** A client with an open session and one command behind it, so that what follows is all that a test sees. */
async function warm({ client, n1 }: Stage, options: object = {}, directories: readonly string[] = []): Promise<Client> {
  const warmed = await client({ nodes: [n1.url], directories, ...options });
  await warmed.put("warm", "1");
  return warmed;
}

const test = suite("client: commands");

test("calls of one turn share a frame, numbered in the order in which they were made", () =>
  onStage(async (stage) => {
    const client = await stage.client();
    const results = await Promise.all(["a", "b", "c"].map((key) => client.put(key, "1")));
    assert.equal(
      results.map(({ revision }) => revision),
      [1, 2, 3],
    );
    const [batch] = stage.n1.batches.all;
    assert.is(stage.n1.batches.all.length, 1);
    assert.equal([batch?.first, batch?.floor, batch?.said], [1, 1, ["put a", "put b", "put c"]]);
    await client.put("d", "1");
    assert.equal([stage.n1.batches.all[1]?.first, stage.n1.batches.all[1]?.floor], [4, 4]);
  }));

test("a large number of calls travels in frames of bounded size, in order", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    await Promise.all(Array.from({ length: 40 }, (_, i) => client.put(`k${i}`, "x".repeat(100_000))));
    const sizes = stage.n1.batches.all.map(({ commands }) =>
      commands.reduce((sum, bytes) => sum + bytes.byteLength, 0),
    );
    assert.ok(sizes.length > 5 && Math.max(...sizes) <= 512 * 1024, `${sizes}`);
    assert.equal(
      numbers(stage).flat(),
      Array.from({ length: 41 }, (_, i) => i + 1),
    );
  }));

test("no more commands are on their way than nodes allow for one session", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    const held: (() => void)[] = [];
    stage.n1.commandScript = [
      (batch, answer) => {
        held.push(() => stage.n1.apply(batch, answer));
        return true;
      },
    ];
    const all = Promise.all(Array.from({ length: 5_000 }, () => client.put("k", "1")));
    let answered = 0;
    while (answered < 5_000) {
      await eventually("a batch", () => held.length > 0);
      for (const { first, floor, commands } of stage.n1.batches.all)
        assert.ok(first + commands.length - floor <= 2_048);
      const waiting = held.splice(0);
      for (const apply of waiting) apply();
      answered = [...stage.n1.batches.all].reduce((sum, { commands }) => sum + commands.length, 0) - 1;
      if (held.length === 0 && answered < 5_000) await eventually("more", () => held.length > 0);
    }
    for (const apply of held) apply();
    await all;
  }));

for (const code of ["NOT_LEADER", "DIVERGED", "BUSY", "UNKNOWN_OUTCOME"] as const) {
  test(`after ${code} the same commands are sent again, with the same session and numbers`, () =>
    onStage(async (stage) => {
      const client = await warm(stage);
      stage.n1.commandScript = [failing(refuse(code))];
      await Promise.all([client.put("a", "1"), client.put("b", "1")]);
      const [, before, after] = stage.n1.batches.all;
      assert.equal([after?.session, after?.first, after?.said], [before?.session, before?.first, before?.said]);
      assert.is(stage.n1.opened.all.length, 1);
    }));
}

test("the link is lost with a command on its way: it is sent again, and takes effect once", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    // It is applied, and the answer never comes.
    stage.n1.commandScript = [once((batch) => stage.n1.apply(batch, null))];
    const sum = client.increment("n");
    await stage.n1.batches.first(2);
    await stage.n1.stop();
    await stage.n1.start();
    assert.is((await sum).value, 1);
    const [, ...sent] = numbers(stage);
    assert.ok(sent.length >= 2 && sent.every(([number]) => number === 2), JSON.stringify(sent));
  }));

test("commands keep their order while some are refused and others wait", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    stage.n1.commandScript = [failing(refuse("BUSY"))];
    const first = client.append("log", "a");
    await stage.n1.batches.first(2);
    // This one overtakes, and is turned away by the gap.
    const second = client.append("log", "b");
    const third = client.append("log", "c");
    await Promise.all([first, second, third]);
    assert.is((await client.get("log"))?.value, "abc");
  }));

test("what was turned away because of a gap is sent again, and nothing is applied twice", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    const random = [0.1, 0.9, 0.4, 0.7, 0.2, 0.6];
    let i = 0;
    stage.n1.commandScript = [
      (batch, answer) => {
        const share = random[i++ % random.length] ?? 0;
        if (i > 200) return false;
        if (share < 0.3) answer.fail(refuse("BUSY"));
        else if (share < 0.5) answer.fail(refuse("NOT_LEADER"));
        else if (share < 0.65)
          stage.n1.apply(batch, { ok: () => answer.fail(refuse("UNKNOWN_OUTCOME")), fail: () => {} });
        else stage.n1.apply(batch, answer);
        return true;
      },
    ];
    const sums: Promise<{ readonly value: number }>[] = [];
    for (let n = 0; n < 30; n++) {
      sums.push(client.increment("n"));
      if (n % 3 === 0) await new Promise<void>((resolve) => setImmediate(resolve));
    }
    assert.equal(
      (await Promise.all(sums)).map(({ value }) => value),
      Array.from({ length: 30 }, (_, n) => n + 1),
    );
  }));

test("a command that was given up is never sent again: the floor rises past it, and the next ones go on", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    stage.n1.commandScript = [failing(refuse("BUSY")), failing(refuse("BUSY"))];
    const abort = new AbortController();
    const given = codeOf(client.put("given up", "1", { signal: abort.signal }));
    await stage.n1.batches.first(2);
    abort.abort();
    await given;
    await client.put("next", "1");
    const last = stage.n1.batches.all.at(-1);
    assert.equal([last?.first, last?.floor, last?.said], [3, 3, ["put next"]]);
    assert.is(await client.get("given up"), null);
  }));

test("a command that was given up in the middle leaves a gap that closes", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    stage.n1.commandScript = [failing(refuse("BUSY"))];
    const abort = new AbortController();
    const calls = [client.put("a", "1"), codeOf(client.put("b", "1", { signal: abort.signal })), client.put("c", "1")];
    await stage.n1.batches.first(2);
    abort.abort();
    await Promise.all(calls);
    assert.equal(
      [(await client.get("a"))?.value, await client.get("b"), (await client.get("c"))?.value],
      ["1", null, "1"],
    );
  }));

test("the session has ended: what may have been applied is UNKNOWN_OUTCOME, the rest moves to a new one", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    const [session = 0] = stage.n1.opened.all;
    // The answer to the first gets lost; the second is turned away, and then the session ends.
    stage.n1.commandScript = [
      once((batch) => stage.n1.apply(batch, null)),
      once((_batch, answer) => {
        stage.state.expire(session);
        answer.fail(refuse("BUSY"));
      }),
    ];
    const maybe = codeOf(client.increment("maybe"));
    await stage.n1.batches.first(2);
    const rest = client.increment("rest");
    assert.is(await maybe, "UNKNOWN_OUTCOME");
    assert.is((await rest).value, 1);
    assert.is((await client.get("maybe"))?.value, "1");
    const last = stage.n1.batches.all.at(-1);
    assert.is(stage.n1.opened.all.length, 2);
    assert.equal([last?.session, last?.first], [stage.n1.opened.all[1], 1]);
  }));

test("the session has ended while nothing was on its way: nobody notices", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    stage.state.expire(stage.n1.opened.all[0] ?? 0);
    const sums = await Promise.all([client.increment("n"), client.increment("n")]);
    assert.equal(
      sums.map(({ value }) => value),
      [1, 2],
    );
  }));

test("a session that a leader never answers for is opened with the next leader", () =>
  onStage(async (stage) => {
    const client = await stage.client();
    stage.n1.openScript = [silent];
    const write = client.put("a", "1");
    await eventually("the first leader to be found", () => client.leader?.id === "n1");
    await stage.n1.subscribed.first(1);
    stage.directory.push(stage.n2.leading(2));
    await write;
    assert.is(stage.n2.opened.all.length, 1);
  }));

test("a new leader hears of the session before any command", () =>
  onStage(async (stage) => {
    const client = await warm(stage, {}, [stage.directory.url]);
    await stage.directory.subscribed.first(1);
    stage.directory.push(stage.n2.leading(2));
    await eventually("the new leader", () => client.leader?.id === "n2");
    await client.put("a", "1");
    assert.equal(stage.n2.kept.all, [stage.n1.opened.all[0]]);
    assert.is(stage.n2.opened.all.length, 0);
  }));

test("no leader was ever found: NO_LEADER, and nothing was sent", () =>
  onStage(async (stage) => {
    stage.directory.view = { term: 0, leader: null };
    for (const node of [stage.n1, stage.n2]) node.view = stage.directory.view;
    const client = await stage.client();
    assert.is(await codeOf(client.put("a", "1", { timeoutMs: 60 })), "NO_LEADER");
    assert.equal(stage.n1.batches.all, []);
  }));

test("a leader is there and the command was never sent: TIMEOUT", () =>
  onStage(async (stage) => {
    stage.n1.openScript = [silent];
    const client = await stage.client();
    await eventually("a leader", () => client.leader !== null);
    const code = await codeOf(client.put("a", "1", { timeoutMs: 60 }));
    assert.ok(code === "TIMEOUT" || code === "NO_LEADER", code);
    assert.equal(stage.n1.batches.all, []);
  }));

test("a command that was sent and never answered: UNKNOWN_OUTCOME", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    stage.n1.commandScript = [silent];
    assert.is(await codeOf(client.put("a", "1", { timeoutMs: 60 })), "UNKNOWN_OUTCOME");
  }));

test("a command that was sent to a leader that is gone since, and to nobody else: UNKNOWN_OUTCOME", () =>
  onStage(async (stage) => {
    const client = await warm(stage, {}, [stage.directory.url]);
    stage.n1.commandScript = [silent];
    const abort = new AbortController();
    const call = codeOf(client.put("a", "1", { signal: abort.signal }));
    await stage.n1.batches.first(2);
    stage.directory.push({ term: 2, leader: null });
    await eventually("no leader", () => client.leader === null);
    abort.abort();
    assert.is(await call, "UNKNOWN_OUTCOME");
  }));

/** No pause between tries ever ends, so that no try is under way when the deadline comes. */
const WITHOUT_RETRIES = {
  ...realEnvironment,
  clock: {
    ...realEnvironment.clock,
    setTimer: (delayMs: number, fire: () => void) =>
      // A deadline whose timer fired a moment too early is set anew for less than that.
      delayMs >= 10 && delayMs < 40 ? { cancel: () => {} } : realEnvironment.clock.setTimer(delayMs, fire),
  },
};

test("a command that was refused every time: BUSY, for it was not applied", () =>
  onStage(async (stage) => {
    const client = await warm(stage, { environment: WITHOUT_RETRIES });
    stage.n1.commandScript = [times(1_000, (_batch, answer) => answer.fail(refuse("BUSY")))];
    assert.is(await codeOf(client.put("a", "1", { timeoutMs: 200 })), "BUSY");
    stage.n1.commandScript = [];
    await client.put("b", "1");
    assert.is(await client.get("a"), null);
  }));

test("sessions are refused every time: BUSY", () =>
  onStage(async (stage) => {
    stage.n1.openScript = [times(1_000, (_question, answer) => answer.fail(refuse("BUSY")))];
    const client = await stage.client();
    assert.is(await codeOf(client.put("a", "1", { timeoutMs: 300 })), "BUSY");
  }));

test("an AbortSignal that has fired: ABORTED, and nothing is sent", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    const error = await client
      .put("a", "1", { signal: AbortSignal.abort("why not") })
      .catch((thrown: unknown) => thrown);
    assert.ok(error instanceof ConclaveError && error.code === "ABORTED");
    assert.is(error.cause, "why not");
    await client.put("b", "1");
    assert.equal(stage.n1.batches.all.at(-1)?.said, ["put b"]);
  }));

test("an AbortSignal that fires before the command is sent: ABORTED, and nothing is sent", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    const abort = new AbortController();
    const call = codeOf(client.put("a", "1", { signal: abort.signal }));
    abort.abort();
    assert.is(await call, "ABORTED");
    await client.put("b", "1");
    assert.equal(stage.n1.batches.all.at(-1)?.said, ["put b"]);
  }));

test("an AbortSignal that fires while the answer is awaited: UNKNOWN_OUTCOME", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    stage.n1.commandScript = [silent];
    const abort = new AbortController();
    const call = codeOf(client.put("a", "1", { signal: abort.signal }));
    await stage.n1.batches.first(2);
    abort.abort();
    assert.is(await call, "UNKNOWN_OUTCOME");
  }));

test("a signal that outlives its call is let go of", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    const { signal } = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listeners++;
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listeners--;
      removeEventListener.apply(signal, args);
    };
    await Promise.all([client.put("a", "1", { signal }), client.get("a", { signal })]);
    assert.is(listeners, 0);
  }));

for (const [what, options, call] of [
  ["a key", { keyBytesMax: 4 }, (client: Client) => client.put("12345", "")],
  ["a key in UTF-8", { keyBytesMax: 4 }, (client: Client) => client.delete("éé€")],
  ["a key to read", { keyBytesMax: 4 }, (client: Client) => client.get("12345")],
  ["a prefix", { keyBytesMax: 4 }, (client: Client) => client.list("12345")],
  ["text", { valueBytesMax: 4 }, (client: Client) => client.put("k", "12345")],
  ["text in UTF-8", { valueBytesMax: 4 }, (client: Client) => client.put("k", "€€")],
  ["bytes", { valueBytesMax: 4 }, (client: Client) => client.put("k", new Uint8Array(5))],
  ["a value to append", { valueBytesMax: 4 }, (client: Client) => client.append("k", "12345")],
  ["a value to swap in", { valueBytesMax: 4 }, (client: Client) => client.cas("k", { value: "" }, "12345")],
  ["an expected value", { valueBytesMax: 4 }, (client: Client) => client.cas("k", { value: "12345" }, "")],
] as const) {
  test(`${what} that is too large: TOO_LARGE, and nothing is sent`, () =>
    onStage(async (stage) => {
      const client = await warm(stage, { keyBytesMax: 4, valueBytesMax: 4, ...options });
      assert.is(await codeOf(call(client)), "TOO_LARGE");
      await client.put("k", "1");
      assert.is(stage.n1.batches.all.length, 2);
      assert.equal(stage.n1.reads.all, []);
    }));
}

test("what is exactly as large as allowed is taken, counted in UTF-8", () =>
  onStage(async (stage) => {
    const client = await stage.client({ nodes: [stage.n1.url], keyBytesMax: 6, valueBytesMax: 6 });
    await client.put("€€", "éé€".slice(1));
    await client.put("123456", new Uint8Array(6));
    await client.put("", "");
    assert.is((await client.get("€€"))?.value, "é€");
  }));

test("a node that always refuses is asked again after a pause, not as fast as it answers", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    stage.n1.commandScript = [times(100_000, (_batch, answer) => answer.fail(refuse("NOT_LEADER")))];
    await codeOf(client.put("a", "1", { timeoutMs: 300 }));
    assert.ok(stage.n1.batches.all.length <= 60, `it was asked ${stage.n1.batches.all.length} times`);
  }));

for (const [what, call] of [
  ["a key that is no string", (client: Client) => client.put(7 as unknown as string, "")],
  ["a value that is neither text nor bytes", (client: Client) => client.put("k", 7 as unknown as string)],
  ["no value", (client: Client) => client.put("k", undefined as unknown as string)],
  ["an increment by a fraction", (client: Client) => client.increment("k", 0.5)],
  ["an increment by too much", (client: Client) => client.increment("k", 2 ** 53)],
  ["a negative revision", (client: Client) => client.cas("k", { revision: -1 }, "v")],
  ["an expectation that is no object", (client: Client) => client.cas("k", "old" as unknown as { value: string }, "v")],
  ["no expectation", (client: Client) => client.cas("k", undefined as unknown as { value: string }, "v")],
  ["a limit of 0", (client: Client) => client.list("", { limit: 0 })],
  ["a limit of a half", (client: Client) => client.list("", { limit: 0.5 })],
  ["a limit past the largest", (client: Client) => client.list("", { limit: 10_001 })],
  ["a deadline that is no number", (client: Client) => client.put("k", "v", { timeoutMs: Number.NaN })],
  ["a deadline before now", (client: Client) => client.put("k", "v", { timeoutMs: -1 })],
] as const) {
  test(
    `${what}: INVALID_ARGUMENT, as a rejection`,
    () =>
      onStage(async ({ client, deadUrl }) => {
        assert.is(await codeOf(call(await client({ nodes: [deadUrl], timeoutMs: 100 }))), "INVALID_ARGUMENT");
      }),
    { timeoutMs: 5_000 },
  );
}

test("so many calls and no more: BUSY, at once; afterwards there is room again", () =>
  onStage(async (stage) => {
    const client = await warm(stage, { callsMax: 2 });
    const open = [client.put("a", "1"), client.put("b", "1")];
    assert.is(await codeOf(client.put("c", "1")), "BUSY");
    await Promise.all(open);
    await client.put("c", "1");
  }));

test("what the machine refuses comes back with its code", () =>
  onStage(async (stage) => {
    const client = await warm(stage, { valueBytesMax: 5 });
    await client.put("text", "abc");
    assert.is(await codeOf(client.increment("text")), "NOT_A_NUMBER");
    assert.is(await codeOf(client.append("text", new Uint8Array(1))), "WRONG_TYPE");
    assert.is(await codeOf(client.append("text", "defg")), "TOO_LARGE");
  }));

test("close: what was sent is UNKNOWN_OUTCOME, what was not is CLOSED, and so is all that comes later", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    stage.n1.commandScript = [silent];
    const sent = codeOf(client.put("a", "1"));
    await stage.n1.batches.first(2);
    const unsent = codeOf(client.put("b", "1"));
    const read = codeOf(client.get("a", { consistency: "stale", node: "nobody" }));
    await client.close();
    assert.is(await sent, "UNKNOWN_OUTCOME");
    assert.is(await unsent, "CLOSED");
    assert.is(await read, "CLOSED");
    assert.is(await codeOf(client.put("c", "1")), "CLOSED");
    assert.is(await codeOf(client.get("c")), "CLOSED");
    assert.is(await codeOf(client.get("c", { consistency: "stale" })), "CLOSED");
    assert.is(await codeOf(client.status()), "CLOSED");
    await client.close();
  }));

test("a client is closed at the end of the block that it is for", () =>
  onStage(async (stage) => {
    let left: Client;
    {
      await using client = await warm(stage);
      left = client;
    }
    assert.is(await codeOf(left.get("a")), "CLOSED");
  }));

/** Answers that make no sense, and are not to be waited for until the deadline. */
const NONSENSE: readonly (readonly [string, (stage: Stage) => void])[] = [
  [
    "outcomes that are no outcomes",
    ({ n1 }) => {
      n1.commandScript = [
        once((_batch, answer) => answer.ok({ type: "outcomes", index: 1, outcomes: Uint8Array.of(1, 2, 3) })),
      ];
    },
  ],
  [
    "an answer to another question",
    ({ n1 }) => {
      n1.commandScript = [once((_batch, answer) => answer.ok({ type: "done" }))];
    },
  ],
  [
    "too few outcomes",
    ({ n1 }) => {
      n1.commandScript = [
        once((_batch, answer) => answer.ok({ type: "outcomes", index: 1, outcomes: Uint8Array.of(0, 0, 0, 0) })),
      ];
    },
  ],
  [
    "a result that is none",
    ({ n1 }) => {
      const outcomes = Uint8Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0);
      n1.commandScript = [once((_batch, answer) => answer.ok({ type: "outcomes", index: 1, outcomes }))];
    },
  ],
];

for (const [what, script] of NONSENSE) {
  test(`${what}: an error with a code, not a hang, and the next command works`, () =>
    onStage(async (stage) => {
      const client = await warm(stage);
      script(stage);
      const code = await codeOf(client.put("a", "1", { timeoutMs: 2_000 }));
      assert.is(code, "UNKNOWN_OUTCOME", "the command may have been applied all the same");
      const error = await client.put("b", "1").catch((thrown: unknown) => thrown);
      assert.not(error instanceof Error, String(error));
    }));
}

for (const code of ["ACTOR_FAILED", "BAD_MESSAGE", "ANSWER_TOO_LARGE", "MACHINE_FAILED"] as const) {
  test(`${code} in place of outcomes proves nothing: UNKNOWN_OUTCOME`, () =>
    onStage(async (stage) => {
      const client = await warm(stage);
      stage.n1.commandScript = [failing(new ConclaveError(code, "who knows"))];
      assert.is(await codeOf(client.put("a", "1")), "UNKNOWN_OUTCOME");
    }));
}

test("TOO_LARGE, from a node that takes less than the client thinks: nothing was taken", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    stage.n1.commandScript = [failing(new ConclaveError("TOO_LARGE", "no"))];
    assert.is(await codeOf(client.put("a", "1")), "TOO_LARGE");
  }));

test("a process whose node is not there yet is asked again", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    stage.n1.commandScript = [failing(new ConclaveError("UNKNOWN_ACTOR", "not yet"))];
    await client.put("a", "1");
  }));

test("UNKNOWN_OUTCOME never says that nothing was sent", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    stage.n1.commandScript = [silent];
    const stop = new AbortController();
    const calls = [client.put("a", "1", { timeoutMs: 50 }), client.put("b", "1", { signal: stop.signal })];
    const errors = calls.map((call) => call.catch((error: unknown) => error));
    await stage.n1.batches.when("both", ({ said }) => said.includes("put b"));
    stop.abort();
    for (const error of await Promise.all(errors)) {
      assert.ok(hasCode(error, "UNKNOWN_OUTCOME"), String(error));
      assert.not.match(String(error), /(not|nothing was) sent/);
    }
  }));

test("a session that is no session does not make the client ask for ever and ever", () =>
  onStage(async (stage) => {
    let asked = 0;
    stage.n1.openScript = [
      times(Number.POSITIVE_INFINITY, (_question, answer) => {
        asked++;
        answer.ok({ type: "done" });
      }),
    ];
    const client = await stage.client();
    await codeOf(client.put("a", "1", { timeoutMs: 500 }));
    assert.ok(asked <= 60, `it asked ${asked} times within half a second`);
  }));

test("however many wait when a session expires, all go on in a new one", () =>
  onStage(async (stage) => {
    const count = 150_000;
    const client = await warm(stage, { callsMax: count, timeoutMs: 60_000 });
    stage.n1.commandScript = [once((_batch, answer) => answer.fail(refuse("SESSION_EXPIRED")))];
    const results = await Promise.all(Array.from({ length: count }, (_, i) => client.put(`k${i % 100}`, "1")));
    assert.is(results.length, count);
    assert.is(results.at(-1)?.revision, count + 1);
  }));

test("what is no bytes is neither a command nor a query, and spoils nothing for others", () =>
  onStage(async ({ client }) => {
    const [one, other] = [await client(), await client()];
    for (const nonsense of ["x", [1, 2], undefined]) {
      assert.is(await codeOf(one.command(nonsense as never)), "INVALID_ARGUMENT");
      assert.is(await codeOf(one.query(nonsense as never)), "INVALID_ARGUMENT");
    }
    assert.is((await other.put("a", "1")).revision, 1);
  }));

test.run();
