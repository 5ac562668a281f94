/** What every `Disk` promises (environment.ts): the same tests for the real one and for the one in memory. */

import * as assert from "uvu/assert";
import type { Disk } from "../../src/environment.ts";
import type { Suite } from "../support/suite.ts";
import { codeOf } from "./code-of.ts";

const bytes = (...values: number[]): Uint8Array => new Uint8Array(values);
const content = (read: Uint8Array): number[] => [...read];

/** @param fresh an empty folder */
export function keepsTheContract(test: Suite, disk: Disk, fresh: () => Promise<string>): void {
  test("what was written is read back, also by another handle", async () => {
    const folder = await fresh();
    const file = await disk.open(`${folder}/a`, "create");
    await file.write(0, [bytes(1, 2), bytes(3, 4)]);
    assert.equal(content(await file.read(1, 2)), [2, 3]);
    const other = await disk.open(`${folder}/a`, "existing");
    assert.equal(content(await other.read(0, 4)), [1, 2, 3, 4]);
    await other.close();
    await file.close();
  });

  test("a file that is there is not created again, and keeps its content", async () => {
    const folder = await fresh();
    const file = await disk.open(`${folder}/a`, "create");
    await file.write(0, [bytes(1)]);
    assert.is(await codeOf(disk.open(`${folder}/a`, "create")), "EEXIST");
    assert.equal(content(await file.read(0, 9)), [1]);
    await file.close();
  });

  test("a file that is not there is not opened, renamed or removed", async () => {
    const folder = await fresh();
    assert.is(await codeOf(disk.open(`${folder}/a`, "existing")), "ENOENT");
    assert.is(await codeOf(disk.rename(`${folder}/a`, `${folder}/b`)), "ENOENT");
    assert.is(await codeOf(disk.remove(`${folder}/a`)), "ENOENT");
    assert.is(await codeOf(disk.open(`${folder}/missing/a`, "create")), "ENOENT");
    assert.equal(await disk.list(folder), []);
  });

  test("a read is short only at the end of the file", async () => {
    const file = await disk.open(`${await fresh()}/a`, "create");
    assert.is((await file.read(0, 10)).byteLength, 0);
    await file.write(0, [new Uint8Array(100_000).fill(7)]);
    assert.is((await file.read(0, 100_000)).byteLength, 100_000);
    assert.is((await file.read(99_990, 100)).byteLength, 10);
    assert.is((await file.read(100_000, 1)).byteLength, 0);
    assert.is((await file.read(200_000, 1)).byteLength, 0);
    assert.is((await file.read(5, 0)).byteLength, 0);
    await file.close();
  });

  test("writes overwrite in place, lengthen the file, and leave zeros in a gap", async () => {
    const file = await disk.open(`${await fresh()}/a`, "create");
    await file.write(0, [bytes(1, 2, 3)]);
    await file.write(1, [bytes(9)]);
    await file.write(5, [bytes(8)]);
    assert.equal(content(await file.read(0, 10)), [1, 9, 3, 0, 0, 8]);
    assert.is(await file.size(), 6);
    await file.close();
  });

  test("writes more chunks than the system takes at once, empty ones among them", async () => {
    const file = await disk.open(`${await fresh()}/a`, "create");
    const chunks = Array.from({ length: 3000 }, (_, i) => new Uint8Array(i % 5).fill(i % 251));
    await file.write(3, chunks);
    const expected = Buffer.concat(chunks);
    assert.ok(expected.equals(await file.read(3, expected.byteLength + 1)));
    await file.write(0, []);
    await file.write(0, [bytes()]);
    assert.is(await file.size(), 3 + expected.byteLength);
    await file.close();
  });

  test("truncation cuts the end off, and what is written there later does not bring it back", async () => {
    const file = await disk.open(`${await fresh()}/a`, "create");
    await file.write(0, [bytes(1, 2, 3, 4)]);
    await file.truncate(2);
    assert.is(await file.size(), 2);
    await file.write(3, [bytes(5)]);
    assert.equal(content(await file.read(0, 10)), [1, 2, 0, 5]);
    await file.sync();
    await file.close();
  });

  test("names are listed in order, without what was removed", async () => {
    const folder = await fresh();
    for (const name of ["c", "a", "b", "B", "a10", "a9"])
      await (await disk.open(`${folder}/${name}`, "create")).close();
    await disk.remove(`${folder}/b`);
    assert.equal(await disk.list(folder), ["B", "a", "a10", "a9", "c"]);
  });

  test("a renamed file takes the place of another", async () => {
    const folder = await fresh();
    for (const [name, value] of [
      ["old", 1],
      ["new", 2],
    ] as const) {
      const file = await disk.open(`${folder}/${name}`, "create");
      await file.write(0, [bytes(value)]);
      await file.close();
    }
    await disk.rename(`${folder}/new`, `${folder}/old`);
    await disk.syncFolder(folder);
    assert.equal(await disk.list(folder), ["old"]);
    const file = await disk.open(`${folder}/old`, "existing");
    assert.equal(content(await file.read(0, 2)), [2]);
    await file.close();
  });

  test("makes a folder with its parents; one that is there stays as it is", async () => {
    const folder = `${await fresh()}/one/two/three`;
    await disk.makeFolder(folder);
    await (await disk.open(`${folder}/a`, "create")).close();
    await disk.makeFolder(folder);
    assert.equal(await disk.list(folder), ["a"]);
    assert.is(await codeOf(disk.list(`${folder}/missing`)), "ENOENT");
  });

  test("a closed file refuses to be written to", async () => {
    const file = await disk.open(`${await fresh()}/a`, "create");
    await file.close();
    assert.is.not(await codeOf(file.write(0, [bytes(1)])), "resolved");
    assert.is.not(await codeOf(file.sync()), "resolved");
  });

  test("a folder is locked by one at a time", async () => {
    const folder = await fresh();
    const lock = await disk.lock(folder);
    assert.is(await codeOf(disk.lock(folder)), "DATA_LOCKED");
    await lock.release();
    await (await disk.lock(folder)).release();
  });
}
