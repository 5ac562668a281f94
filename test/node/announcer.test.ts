/** What a node tells directories, and what it tells of them. */

import * as assert from "uvu/assert";
import type { ActorRef } from "../../src/actor/index.ts";
import { ConclaveError } from "../../src/errors.ts";
import { Announcer, type AnnouncerStory } from "../../src/node/announcer.ts";
import type { DirectoryMessage } from "../../src/protocol/directory.ts";
import { HandClock } from "../support/network.ts";
import { suite } from "../support/suite.ts";

const DIRECTORY = "ws://directory:7000";

/** A node with one directory, which refuses what it is told to. */
function world() {
  const clock = new HandClock();
  const told: string[] = [];
  const asked: string[] = [];
  const refuses = new Map<DirectoryMessage["type"], string>();
  const ask = async (message: DirectoryMessage): Promise<unknown> => {
    asked.push(message.type);
    const reason = refuses.get(message.type);
    if (reason !== undefined) throw new ConclaveError("NOT_ENTITLED", reason);
    return { type: "done" };
  };
  const context = {
    ref: () => ({ ask }) as unknown as ActorRef<never, never>,
    keepLink: () => () => {},
    watch: () => {},
  };
  const tell = (story: AnnouncerStory): void =>
    void told.push(story.event === "registered" ? "registered" : story.reason);
  const announcer = new Announcer(context, {
    clock,
    id: "n1",
    url: "ws://n1:7001",
    directories: [DIRECTORY],
    tell,
    continueLater: () => {},
  });
  /** Lets the node ask again, and hear the answers. */
  const retry = async (): Promise<void> => {
    clock.advance(500);
    await new Promise<void>((resolve) => setImmediate(resolve));
  };
  return { announcer, refuses, asked, told, retry };
}

const test = suite("node: announcer");

test("a directory that goes on refusing is asked again, and told of once for each reason", async () => {
  const { announcer, refuses, asked, told, retry } = world();
  refuses.set("members", "who are they?").set("claim", "you don't lead");
  announcer.updateMembers(1, [{ id: "n1", url: "ws://n1:7001" }]);
  announcer.update({ term: 1, leader: { id: "n1", url: "ws://n1:7001" } });
  announcer.linkUp(DIRECTORY);
  for (let i = 0; i < 10; i++) await retry();
  assert.equal(told, ["registered", "who are they?", "you don't lead"]);
  assert.ok(asked.filter((type) => type === "claim").length > 9);

  refuses.clear();
  await retry();
  const before = asked.length;
  for (let i = 0; i < 10; i++) await retry();
  assert.is(asked.length, before, "it has heard all of it");

  refuses.set("members", "who are they?");
  announcer.updateMembers(2, [{ id: "n1", url: "ws://n1:7001" }]);
  await retry();
  assert.equal(told.slice(3), ["who are they?"], "it did not last");
});

test("a directory is told all of it again when its link is back, and nothing while it is not", async () => {
  const { announcer, refuses, asked, told, retry } = world();
  refuses.set("register", "the name is taken");
  announcer.linkUp(DIRECTORY);
  await retry();
  announcer.linkLost(DIRECTORY, undefined as never);
  const before = asked.length;
  for (let i = 0; i < 3; i++) await retry();
  assert.is(asked.length, before);
  refuses.clear();
  for (let i = 0; i < 2; i++) {
    announcer.linkUp(DIRECTORY);
    await retry();
    announcer.linkLost(DIRECTORY, undefined as never);
  }
  assert.equal(told, ["the name is taken", "registered", "registered"]);
});

test.run();
