/** Ends that follow others: they come with the first, and leave nothing behind. */

import { getEventListeners } from "node:events";
import * as assert from "uvu/assert";
import { endWith } from "../../src/client/end-with.ts";
import { suite } from "../support/suite.ts";

const test = suite("ends that follow others");

const listeners = ({ signal }: AbortController): number => getEventListeners(signal, "abort").length;

test("the first signal ends it, with its reason, and the others are forgotten", () => {
  const [end, first, second] = [new AbortController(), new AbortController(), new AbortController()];
  const ended = endWith(end, first.signal, undefined, second.signal);
  assert.is(ended, end.signal);
  assert.not(ended.aborted);
  first.abort("first");
  second.abort("second");
  assert.is(ended.reason, "first");
});

test("one that has fired before ends it at once", () => {
  const past = AbortSignal.abort("long ago");
  assert.is(endWith(new AbortController(), new AbortController().signal, past).reason, "long ago");
  assert.is(endWith(new AbortController(), past, AbortSignal.abort("later")).reason, "long ago");
});

const forgets = "what has come to its end otherwise is forgotten by signals that go on";
if ("Deno" in globalThis || "Bun" in globalThis)
  test.skip(forgets, "who listens to a signal can be told on Node alone");
else {
  test(forgets, () => {
    const [end, longLived] = [new AbortController(), new AbortController()];
    endWith(end, longLived.signal);
    assert.is(listeners(longLived), 1);
    end.abort("over");
    assert.is(listeners(longLived), 0);
    assert.not(longLived.signal.aborted);
    endWith(end, longLived.signal);
    assert.is(listeners(longLived), 0);
  });
}

test.run();
