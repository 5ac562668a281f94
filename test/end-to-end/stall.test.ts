/** A program that computes for seconds has a node in it that stands still meanwhile. */

import { writeFileSync } from "node:fs";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import type { LogLine } from "./cluster.ts";
import { entriesOf, type Program, withFleet } from "./fleet.ts";
import type { Stall } from "./programs/member.ts";

const test = suite("end to end: stall");

/** More than any election timeout. */
const STALL_MS = 2_000;
/** So many are written by each program before, while and after the leader stands still. */
const WRITES = 20;

const acknowledgedBy = (members: readonly Program[]): string[] =>
  members.flatMap((member) => member.all("acknowledged").map((line) => String(line["id"])));

/** Has whoever leads stand still. */
async function stallLeader(
  members: readonly Program[],
  gate: string,
): Promise<{ stalled: Program; stall: Promise<Stall> }> {
  for (;;) {
    for (const stalled of members) {
      const told = stalled.lines.length;
      const stall = stalled.ask<Stall>("stall", { ms: STALL_MS, gate });
      const begun = stalled.told("stalling", told).then(() => true);
      if (await Promise.race([begun, stall.catch(() => false)])) return { stalled, stall };
    }
  }
}

test(
  "the leader's process reads JSON for two seconds: another leads, nothing is lost, nobody sees the past",
  () =>
    withFleet(
      3,
      async (fleet) => {
        const members = await fleet.members(1);
        await Promise.all(members.map((member) => member.ask("write")));
        await Promise.all(members.map((member) => member.ask("more", WRITES)));

        const gate = path.join(fleet.folder, "gate");
        const { stalled, stall } = await stallLeader(members, gate);
        const others = members.filter((member) => member !== stalled);
        const told = others.map((member) => member.lines.length);
        const known = acknowledgedBy(others).length;
        const elections = others.map((member, i) => member.told("leader-elected", told[i]));
        const elected = await Promise.any(elections);
        await Promise.all(others.map((member) => member.ask("more", WRITES)));
        const before = acknowledgedBy(others);
        writeFileSync(gate, "");

        const { ms, term, ledItself, read, leased } = await stall;
        assert.ok(ms >= STALL_MS && Number(elected["term"]) > term);
        assert.ok(ledItself, "it does not know yet that another one leads");
        const hasSeen = (ids: readonly string[]): string[] => before.filter((id) => !ids.includes(id));
        assert.equal(hasSeen(read), [], "a read in the very turn in which it goes on finds what was written meanwhile");
        assert.equal(hasSeen(leased), [], "so does one under a lease");
        await stalled.line((line) => line.event === "following" && Number(line["term"]) > term);

        await Promise.all(members.map((member) => member.ask("more", WRITES)));
        await Promise.all(members.map((member) => member.ask("finish")));
        const [first = [], ...rest] = await entriesOf<{ readonly id: string; readonly times: number }>(members);
        for (const entries of rest) assert.equal(entries, first, "all have the same");
        const found = new Map(first.map(({ id, times }) => [id, times]));
        const lost = acknowledgedBy(members).filter((id) => !found.has(id));
        assert.equal(lost, [], "what was acknowledged is there");
        assert.ok([...found.values()].every((times) => times === 1));
        assert.equal(
          members.flatMap((member) => member.all("write-failed")),
          [],
          "no write failed",
        );
        const leaderships = members
          .flatMap((member) => member.all("leader-elected"))
          .map((line: LogLine) => line["term"]);
        assert.is(new Set(leaderships).size, leaderships.length, "no term had two leaders");
        test.tell([
          `${stalled.name} led term ${term} and read JSON for ${Math.round(ms)} ms, in one turn; another node led term ${elected["term"]}, and`,
          `${before.length - known} writes were acknowledged meanwhile: its own reads in that turn have all of them, none was lost`,
        ]);
      },
      { clockDriftMax: 0.01 },
    ),
  { timeoutMs: 60_000 },
);

test.run();
