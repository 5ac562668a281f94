/** Many are told who leads, without anything else being kept waiting. */

import * as assert from "uvu/assert";
import type { Peer } from "../../src/actor/index.ts";
import type { ClientMessage } from "../../src/protocol/client.ts";
import type { LeaderView } from "../../src/protocol/leader.ts";
import { Subscribers } from "../../src/protocol/subscribers.ts";
import { suite } from "../support/suite.ts";

const leads = (term: number): LeaderView => ({ term, leader: { id: "n1", url: "ws://n1:7101" } });

/** So many subscribers, what each of them hears, and how many turns are still to come. */
function audience(count: number) {
  const turns = { due: 0 };
  const subscribers = new Subscribers(() => turns.due++);
  const members = Array.from({ length: count }, () => {
    const heard: string[] = [];
    const ref = (name: string) => ({
      tell: ({ view }: ClientMessage) => heard.push(`${name} ${view.term}`),
    });
    return { peer: { ref } as unknown as Peer, heard };
  });
  for (const { peer } of members) subscribers.add(peer, "");
  const heardBy = (wanted: string): number => members.filter(({ heard }) => heard.includes(wanted)).length;
  /** The turns that were asked for, and those asked for in them; how many there were. */
  const settle = (): number => {
    let taken = 0;
    for (; turns.due > 0; turns.due--) {
      subscribers.run();
      taken++;
    }
    return taken;
  };
  return { subscribers, members, turns, heardBy, settle };
}

const test = suite("protocol: subscribers");

test("a few are told at once", () => {
  const { subscribers, heardBy, turns } = audience(99);
  subscribers.tell(leads(1));
  assert.is(heardBy("client 1"), 99);
  assert.is(turns.due, 0, "nothing is left to do");
});

test("of many, each turn tells some, and in the end all have been told once", () => {
  const { subscribers, members, heardBy, settle } = audience(250);
  subscribers.tell(leads(1));
  assert.is(heardBy("client 1"), 100);
  assert.is(settle(), 2);
  assert.equal(
    members.map(({ heard }) => heard),
    Array.from({ length: 250 }, () => ["client 1"]),
  );
});

test("who has not heard of a leader before the next one is there hears of the next one only", () => {
  const { subscribers, members, heardBy, settle } = audience(250);
  subscribers.tell(leads(1));
  subscribers.tell(leads(2));
  settle();
  assert.is(heardBy("client 2"), 250);
  assert.is(heardBy("client 1"), 100);
  assert.equal(members[0]?.heard, ["client 1", "client 2"]);
});

test("who has left meanwhile is told nothing", () => {
  const { subscribers, members, settle } = audience(150);
  subscribers.tell(leads(1));
  const last = members.at(-1);
  if (last !== undefined) subscribers.remove(last.peer);
  settle();
  assert.equal(last?.heard, []);
});

test("each is told under the name by which it asked", () => {
  const { subscribers, members } = audience(1);
  const [one] = members;
  if (one !== undefined) subscribers.add(one.peer, "observer");
  subscribers.tell(leads(1));
  assert.equal(one?.heard, ["observer 1"]);
});

test.run();
