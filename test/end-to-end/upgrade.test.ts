/** A cluster goes over from one version of a machine to the next while it works, a process at a time. */

import * as assert from "uvu/assert";
import { codeOf } from "../support/network.ts";
import { suite } from "../support/suite.ts";
import { leaderOf } from "./cluster.ts";
import { entriesOf, withFleet } from "./fleet.ts";
import { ledger1, ledger2, type Origin } from "./programs/ledger.ts";

const test = suite("end to end: upgrade");

/** No command needs so long, whatever happens to the nodes. */
const TIMEOUT_MS = 20_000;
const WRITERS = 4;
/** So many are written between one step and the next. */
const WRITES = 40;

interface Entry {
  readonly id: string;
  readonly times: number;
  readonly cents: number;
  readonly origin: Origin;
}

test(
  "from version 1 to 2 under load: each command counts once, old ones still do, and an old program stops",
  () =>
    withFleet(3, async (fleet) => {
      const members = new Map((await fleet.members(1)).map((member) => [member.name, member]));
      const client = await fleet.client({ timeoutMs: TIMEOUT_MS });
      const [old, modern] = [client.of(ledger1), client.of(ledger2)];

      const euros = new Map<string, number>();
      let isOver = false;
      const write = async (writer: number): Promise<void> => {
        for (let i = 1; !isOver; i++) {
          const id = `${writer} ${i}`;
          assert.is(await old.add({ id, euros: i }), 1);
          euros.set(id, i);
        }
      };
      const writers = Promise.all(Array.from({ length: WRITERS }, (_, i) => write(i)));
      const more = async (): Promise<void> => {
        const enough = euros.size + WRITES;
        while (euros.size < enough) await Promise.race([writers, new Promise((resolve) => setImmediate(resolve))]);
      };
      await more();

      /** Why a command of version 2 is not done, once somebody says so. */
      const refusal = async (): Promise<string> => {
        const early = { id: "early", cents: 1, origin: "command of version 2" } as const;
        for (;;) {
          const code = await codeOf(modern.deposit(early, { timeoutMs: 100 }));
          if (code !== "TIMEOUT" && code !== "NO_LEADER") return code;
        }
      };
      const leader = await leaderOf(client);
      for (const id of [leader, ...[...fleet.urls.keys()].filter((other) => other !== leader)]) {
        assert.is(await refusal(), "MACHINE_INACTIVE", `not while ${id} runs version 1`);
        await members.get(id)?.kill(id === leader ? "SIGKILL" : "SIGTERM");
        await more(); // Those who are left go on.
        members.set(id, await fleet.member(id, 2));
        await more();
      }

      await modern.deposit({ id: "first", cents: 1, origin: "command of version 2" });
      await more(); // Clients of version 1 are understood.
      isOver = true;
      await writers;

      const [first = [], ...rest] = await entriesOf<Entry>([...members.values()]);
      for (const entries of rest) assert.equal(entries, first, "all have the same, in the same order");
      const found = new Map(first.map((entry) => [entry.id, entry]));
      assert.is(found.size, euros.size + 1, "what was acknowledged, and nothing else");
      for (const [id, sum] of euros) assert.equal([found.get(id)?.times, found.get(id)?.cents], [1, sum * 100], id);
      const count = (origin: Origin): number => first.filter((entry) => entry.origin === origin).length;
      assert.ok(count("state of version 1") >= (2 * fleet.urls.size - 1) * WRITES);
      assert.ok(count("command of version 1") >= WRITES);
      assert.is(count("command of version 2"), 1);

      await members.get("n3")?.kill("SIGTERM");
      const behind = await fleet.member("n3", 1);
      assert.equal(await behind.exited, { code: 1, signal: null });
      assert.match(
        behind.errors,
        /^MACHINE_MISSING .*"ledger" in version 2, and this program has version 1.*: update it\./,
      );
      const again = await fleet.member("n3", 2);
      await modern.deposit({ id: "last", cents: 1, origin: "command of version 2" });
      assert.is((await entriesOf<Entry>([again]))[0]?.length, found.size + 1);
      test.tell([
        `${euros.size} commands of version 1 while three nodes went over to version 2, none lost, none done twice:`,
        `${count("state of version 1")} were in the state that was converted, ${count("command of version 1")} were translated`,
      ]);
    }),
  { timeoutMs: 60_000 },
);

test.run();
