/** A small file is replaced whole: whatever happens, it has the old content or the new. */

import * as assert from "uvu/assert";
import { readSmallFile, replaceSmallFile } from "../../src/storage/small-file.ts";
import { MemoryDisk, type Operation } from "../../src/testing/memory-disk.ts";
import { codeOf } from "../environment/code-of.ts";
import { suite } from "../support/suite.ts";
import { FOLDER } from "./plain-log.ts";

const test = suite("small file");
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const replace = (disk: MemoryDisk, content: string): Promise<void> =>
  replaceSmallFile(disk, FOLDER, "note", text(content));
const contentOn = async (disk: MemoryDisk): Promise<string | null> => {
  const bytes = await readSmallFile(disk, FOLDER, "note");
  return bytes && new TextDecoder().decode(bytes);
};

test("a file that is not there has no content", async () => {
  assert.is(await contentOn(new MemoryDisk([FOLDER])), null);
});

test("once it is replaced, the new content survives a crash", async () => {
  const disk = new MemoryDisk([FOLDER]);
  for (const content of ["first", "", "third, and longer"]) {
    await replace(disk, content);
    assert.is(await contentOn(disk.crash()), content);
  }
  assert.equal(disk.paths(), [`${FOLDER}/note`]);
});

for (const [old, title] of [
  [null, "nothing"],
  ["old", "the old content"],
] as const) {
  test(`a crash at any point leaves ${title} or the new content, and does not stand in the way`, async () => {
    const disk = new MemoryDisk([FOLDER]);
    if (old !== null) await replace(disk, old);
    const left: MemoryDisk[] = [];
    disk.watch = () => void left.push(...disk.everyCrash());
    await replace(disk, "the new content");

    const found = new Set<string | null>();
    for (const crashed of left) {
      found.add(await contentOn(crashed));
      await replace(crashed, "the next content");
      assert.is(await contentOn(crashed.crash()), "the next content");
    }
    assert.equal(found, new Set([old, "the new content"]));
  });
}

test("a failure of the disk is reported, and leaves the old content", async () => {
  const operations: Operation[] = ["create", "write", "sync", "rename"];
  for (const operation of operations) {
    const disk = new MemoryDisk([FOLDER]);
    await replace(disk, "old");
    disk.failNext(operation, "ENOSPC", 1);
    assert.is(await codeOf(replace(disk, "new")), "ENOSPC");
    assert.is(await contentOn(disk), "old", operation);
    await replace(disk, "newer");
    assert.is(await contentOn(disk.crash()), "newer");
  }
});

test.run();
