/** Logs: one line for each story, and JSON with fields that tools can rely on. */

import * as assert from "uvu/assert";
import { formatLog, logEntry, parseLog } from "../../src/console/index.ts";
import { suite } from "../support/suite.ts";
import { STORIES } from "./stories.ts";

const test = suite("console: log");
const TIME = "2026-01-02T03:04:05.678Z";

for (const story of STORIES) {
  test(`"${story.event}" is one line for people, with its time and its teller`, () => {
    const line = formatLog("pretty", { time: TIME, process: "n1", story });
    assert.not(line.includes("\n"), line);
    assert.match(line, /05\.678/);
    assert.match(line, /n1/);
    assert.not(/undefined|NaN|\[object/.test(line), line);
  });

  test(`"${story.event}" is one line of JSON that reads back as it was`, () => {
    const line = formatLog("json", { time: TIME, process: "n1", story });
    assert.not(line.includes("\n"));
    assert.equal(JSON.parse(line), { time: TIME, process: "n1", ...story });
    assert.equal(parseLog(line), { time: TIME, process: "n1", story });
  });
}

test("an actor that goes on failing says how often it has", () => {
  const lineOf = (count: number): string => {
    const story = { event: "handler-failed" as const, actor: "node", error: "it broke", count };
    return formatLog("pretty", { time: TIME, process: "n1", story });
  };
  assert.match(lineOf(1), /the actor "node" failed: it broke/);
  assert.match(lineOf(3), /the actor "node" failed, 3 times by now: it broke/);
});

test("no story has a field that would hide its time or its teller", () => {
  for (const story of STORIES) assert.not("time" in story || "process" in story, story.event);
});

test("a story is told with the time of day, in milliseconds and UTC", () => {
  const { time, process, story } = logEntry("n1", { event: "stopped" });
  assert.is(new Date(time).toISOString(), time);
  assert.is(process, "n1");
  assert.equal(story, { event: "stopped" });
});

for (const line of ["", "Warning: something", "{", "null", "[]", "{}", '{"time":1,"process":"n1","event":"stopped"}']) {
  test(`a line that is no log entry is no log entry: ${JSON.stringify(line)}`, () => {
    assert.is(parseLog(line), null);
  });
}

test("what a stranger says about itself can't forge a line, nor steer the terminal", () => {
  const reason = "bye\n2026 n1 ★ leader\r\u001b[2J\u0007";
  for (const story of [
    { event: "link-lost", peer: "n2", code: 1000, reason },
    { event: "member-registered", name: reason, url: "ws://127.0.0.1:1" },
    { event: "link-refused", peer: reason, code: 4003, reason: "no" },
  ] as const) {
    const line = formatLog("pretty", { time: TIME, process: "n1", story });
    const plain = line.replaceAll(new RegExp(`${"\u001b"}\\[[\\d;]*m`, "g"), "");
    assert.is(/\p{Cc}/u.exec(plain), null, `control characters get through: ${JSON.stringify(line)}`);
  }
});

test.run();
