/** AppendEntries as bytes. */

import { bench, do_not_optimize, group } from "mitata";
import { type AppendRequest, EntryKind, logIndex, term } from "../raft/index.ts";
import { decodeMessage, encodeMessage } from "./raft-codec.ts";

const request = (entries: number, bytes: number): AppendRequest => ({
  type: "append-request",
  term: term(1),
  prevLogIndex: logIndex(0),
  prevLogTerm: term(0),
  leaderCommit: logIndex(0),
  entries: Array.from({ length: entries }, (_, i) => ({
    index: logIndex(i + 1),
    term: term(1),
    kind: EntryKind.command,
    payload: new Uint8Array(bytes),
  })),
});

for (const [entries, bytes] of [
  [1, 128],
  [64, 128],
  [10, 9_000],
] as const) {
  group(`an AppendEntries of ${entries} x ${bytes} bytes`, () => {
    const message = request(entries, bytes);
    const packed = encodeMessage(message);
    bench("encode", () => do_not_optimize(encodeMessage(message)));
    bench("decode", () => do_not_optimize(decodeMessage(packed)));
  });
}
