/** One client's stale reads show what it has written and seen, whichever nodes answer. */

import * as assert from "uvu/assert";
import { Horizon } from "../../src/client/horizon.ts";
import { ConclaveError } from "../../src/client/index.ts";
import { encodeList } from "../../src/machine/commands.ts";
import { encodePage } from "../../src/machine/key-value-protocol.ts";
import type { NodeAnswer } from "../../src/protocol/node.ts";
import { codeOf } from "../support/network.ts";
import { suite } from "../support/suite.ts";
import { type FakeNode, failing, once, onStage, times } from "./fakes.ts";

const STALE = { consistency: "stale" } as const;

const test = suite("client: horizon");

test("what was seen only grows, but for a proof that it is of another log", () => {
  const horizon = new Horizon();
  horizon.saw(5);
  horizon.saw(3);
  assert.is(horizon.index, 5, "a node may be behind, or its answer late");
  horizon.sawNewest(6, 5);
  assert.is(horizon.index, 6);
  horizon.saw(9);
  horizon.sawNewest(7, 6);
  assert.is(horizon.index, 9, "more was seen since it was asked");
  horizon.sawNewest(2, 9);
  assert.is(horizon.index, 2, "no leader of that log is behind what was committed before");
});

/** The answer of a node that has applied so much: an empty page. */
const page = (index: number): NodeAnswer => ({
  type: "results",
  index,
  results: encodeList([encodePage({ entries: [], more: false, revision: 0 })]),
});

/** Answers every read as a node does that has applied so much. */
const applied = (node: FakeNode, index: number): void => {
  node.readScript = [
    (read, answer) => {
      if (read.minIndex > index) answer.fail(behind(index));
      else answer.ok(page(index));
      return true;
    },
  ];
};

const behind = (appliedIndex: number): ConclaveError =>
  new ConclaveError("BUSY", "scripted: behind", { details: { retryAfterMs: 1, appliedIndex } });

const asked = ({ reads }: FakeNode): (string | number)[][] =>
  reads.all.map(({ consistency, minIndex }) => [consistency, minIndex]);

test("a stale read carries the entry of the last command that was acknowledged, to any node", () =>
  onStage(async ({ client, state, n2 }) => {
    const reader = await client();
    await reader.get("a", { ...STALE, node: "n2" });
    await reader.put("a", "1");
    const first = state.index;
    await reader.get("a", { ...STALE, node: "n2" });
    await Promise.all([reader.put("a", "2"), reader.put("b", "2")]);
    await reader.get("a", { ...STALE, node: "n2" });
    assert.equal(asked(n2), [
      ["stale", 0],
      ["stale", first],
      ["stale", state.index],
    ]);
    assert.ok(state.index > first);
  }));

test("and what any node has shown it before", () =>
  onStage(async ({ client, n1, n2 }) => {
    const reader = await client();
    applied(n2, 7);
    await reader.get("a", { ...STALE, node: "n2" });
    applied(n1, 9);
    await reader.get("a", { ...STALE, node: "n1" });
    await reader.get("b", { ...STALE, node: "n1" });
    assert.equal(
      [...asked(n2), ...asked(n1)],
      [
        ["stale", 0],
        ["stale", 7],
        ["stale", 9],
      ],
    );
    await reader.get("c");
    assert.equal(asked(n1).at(-1), ["linearizable", 0], "a linearizable read asks for nothing");
  }));

test("a node that is behind is passed by for another one, at once", () =>
  onStage(async ({ client, n1, n2 }) => {
    const reader = await client();
    applied(n1, 9);
    await reader.get("a", { ...STALE, node: "n1" });
    n1.readScript = [failing(behind(3))];
    applied(n2, 9);
    await reader.get("a", STALE);
    assert.equal(asked(n2), [["stale", 9]]);
  }));

test("where all are behind, a linearizable read waits for the one that was wanted to catch up", () =>
  onStage(async ({ client, n1, n2 }) => {
    const reader = await client();
    applied(n1, 9);
    await reader.get("a", { ...STALE, node: "n1" });
    n2.readScript = [failing(behind(3)), once((_read, answer) => answer.ok(page(10)))];
    await reader.get("a", { ...STALE, node: "n2" });
    assert.equal(asked(n2), [
      ["stale", 9],
      ["linearizable", 0],
    ]);
    assert.ok(n2.reads.all.every(({ anywhere }) => anywhere));
  }));

test("if it does not, the call ends when its time is up, and shows nothing older", () =>
  onStage(async ({ client, n1, n2 }) => {
    const reader = await client();
    applied(n1, 9);
    await reader.get("a", { ...STALE, node: "n1" });
    n2.readScript = [
      times(10_000, (read, answer) => {
        if (read.consistency === "stale") answer.fail(behind(3));
        else answer.fail(new ConclaveError("NOT_LEADER", "scripted: cut off"));
      }),
    ];
    const code = await codeOf(reader.get("a", { ...STALE, node: "n2", timeoutMs: 200 }));
    assert.ok(code === "BUSY" || code === "TIMEOUT", code);
  }));

test("a cluster that was begun anew, with less history: its reads are answered, and are the measure from then on", () =>
  onStage(async ({ client, n1, n2 }) => {
    const reader = await client();
    applied(n1, 1_000);
    await reader.get("a", STALE);
    for (const node of [n1, n2]) applied(node, 5);
    n1.reads.all.length = 0;
    await reader.get("a", STALE);
    assert.equal(asked(n1), [
      ["stale", 1_000],
      ["linearizable", 0],
    ]);
    await reader.get("a", { ...STALE, node: "n1" });
    assert.equal(asked(n1).at(-1), ["stale", 5]);
  }));

test("a command that the new cluster has acknowledged tells as well", () =>
  onStage(async ({ client, state, n2 }) => {
    const writer = await client();
    applied(n2, 1_000);
    await writer.get("a", { ...STALE, node: "n2" });
    await writer.put("a", "1");
    n2.readScript = [];
    assert.is((await writer.get("a", { ...STALE, node: "n2" }))?.value, "1");
    assert.equal(asked(n2).at(-1), ["stale", state.index]);
  }));

test("a read under a lease proves nothing of the kind: it is as good as the clocks are", () =>
  onStage(async ({ client, n1, n2 }) => {
    const reader = await client();
    applied(n2, 9);
    await reader.get("a", { ...STALE, node: "n2" });
    applied(n1, 4);
    await reader.get("a", { consistency: "lease" });
    await reader.get("a", { ...STALE, node: "n2" });
    assert.equal(asked(n2).at(-1), ["stale", 9]);
  }));

test.run();
