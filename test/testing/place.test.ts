/** What the simulation knows of a node's disk. */

import * as assert from "uvu/assert";
import { MemoryDisk } from "../../src/testing/memory-disk.ts";
import { noteSpoilt, type Place } from "../../src/testing/place.ts";
import { suite } from "../support/suite.ts";

const test = suite("testing: place");

const PART = "/n4/snapshot-0000000000000044-1e6bfdfb.part";
const WHOLE = "/n4/snapshot-0000000000000044.snap";

/** A node that has a snapshot of some zeros, and of whose part a bit was turned over before. */
async function spoiltAt(at: number, bytes: Uint8Array): Promise<Place> {
  const memory = new MemoryDisk();
  await memory.makeFolder("/n4");
  const file = await memory.open(WHOLE, "create");
  await file.write(0, [bytes]);
  return { memory, data: "sound", bad: null, spoilt: { path: PART, at, value: 1 } } as Place;
}

test("a bit that was turned over in what had come of a snapshot is one of the whole snapshot", async () => {
  const place = await spoiltAt(2, Uint8Array.from([0, 0, 1, 0]));
  noteSpoilt(place);
  assert.equal([place.data, place.bad?.path, place.bad?.at, place.spoilt], ["rotten", WHOLE, 2, null]);
});

test("what was written anew since is sound", async () => {
  const place = await spoiltAt(2, new Uint8Array(4));
  noteSpoilt(place);
  assert.equal([place.data, place.bad], ["sound", null]);
});

test.run();
