/** Watching what has a state, whatever is missed meanwhile. */

import * as assert from "uvu/assert";
import { endable } from "../../../src/client/endable.ts";
import { follow, type Page, type Step } from "../../../src/client/recipes/follow.ts";
import { standardClock, standardRandom } from "../../../src/environment/standard.ts";
import type { ClientEnvironment } from "../../../src/environment.ts";
import { ConclaveError } from "../../../src/errors.ts";
import { suite } from "../../support/suite.ts";

const test = suite("follow");

type Entry = { readonly key: string; readonly at: number };
type Emission = { readonly revision: number; readonly change: Entry };

// Only the clock is asked for.
const environment = { clock: standardClock, random: standardRandom } as ClientEnvironment;

const emission = (revision: number, key: string): Emission => ({ revision, change: { key, at: revision } });

/** Follows pages, and runs of changes of which each ends as it is said. */
async function followed(
  pages: readonly (Page<Entry> | ConclaveError)[],
  runs: readonly { readonly changes: readonly Emission[]; readonly end: ConclaveError }[],
) {
  const steps: Step<Entry, Entry>[] = [];
  const asked: (string | number)[] = [];
  const [morePages, moreRuns] = [[...pages], [...runs]];
  const followedSteps = follow<Entry, Entry>({
    environment,
    page: async (after) => {
      asked.push(after);
      const page = morePages.shift();
      if (page === undefined || page instanceof ConclaveError) throw page;
      return page;
    },
    changes: async function* (fromRevision) {
      asked.push(fromRevision);
      const run = moreRuns.shift();
      yield* run?.changes ?? [];
      throw run?.end;
    },
  });
  let end: unknown = null;
  try {
    for await (const step of followedSteps) steps.push(step);
  } catch (error) {
    end = error;
  }
  return { steps, asked, code: (end as { code?: string } | null)?.code };
}

const error = (code: "COMPACTED" | "CLOSED" | "TIMEOUT"): ConclaveError => new ConclaveError(code, code);

test("what is there comes first, and then every change after it", async () => {
  const entries = [{ key: "a", at: 5 }];
  const changes = [emission(8, "b"), emission(9, "a")];
  const { steps, asked, code } = await followed(
    [{ entries, more: false, revision: 7 }],
    [{ changes, end: error("CLOSED") }],
  );
  assert.equal(steps, [
    { type: "current", entries },
    { type: "changed", change: { key: "b", at: 8 } },
    { type: "changed", change: { key: "a", at: 9 } },
  ]);
  assert.equal(asked, ["", 8]);
  assert.is(code, "CLOSED");
});

test("what a later page has told already is no change after it", async () => {
  const pages = [
    { entries: [{ key: "a", at: 1 }], more: true, revision: 3 },
    { entries: [{ key: "m", at: 5 }], more: true, revision: 5 },
    { entries: [{ key: "z", at: 8 }], more: false, revision: 8 },
  ];
  const changes = [emission(4, "a"), emission(5, "m"), emission(6, "b"), emission(7, "z"), emission(9, "z")];
  const { steps, asked } = await followed(pages, [{ changes, end: error("CLOSED") }]);
  assert.equal(
    steps.map((step) => (step.type === "current" ? step.entries.length : step.change.at)),
    [3, 4, 6, 9],
  );
  assert.equal(asked, ["", "a", "m", 4]);
});

test("after changes that were missed, and a cluster that did not answer, all that is there comes anew", async () => {
  const page = (revision: number): Page<Entry> => ({ entries: [], more: false, revision });
  const { steps, asked, code } = await followed(
    [error("TIMEOUT"), page(1), error("TIMEOUT"), page(50), error("CLOSED")],
    [
      { changes: [emission(2, "a")], end: error("COMPACTED") },
      { changes: [], end: error("COMPACTED") },
    ],
  );
  assert.equal(
    steps.map(({ type }) => type),
    ["current", "changed", "current"],
  );
  assert.equal(asked, ["", "", 2, "", "", 51, ""]);
  assert.is(code, "CLOSED");
});

test("whoever wants no more ends the steps even while it waits for the next one", async () => {
  const given = new AbortController();
  const wait = (ended: AbortSignal): Promise<never> =>
    new Promise((_, reject) => ended.addEventListener("abort", () => reject(ended.reason)));
  const waiting = () =>
    endable(given.signal, async function* (ended): AsyncGenerator<number, void, undefined> {
      yield 1;
      yield await wait(ended);
    });
  const steps = waiting();
  assert.is((await steps.next()).value, 1);
  const next = steps.next();
  await steps.return?.();
  assert.is((await next).done, true);
  const others = waiting();
  await others.next();
  const failing = others.next().catch((reason: unknown) => reason);
  given.abort(error("CLOSED"));
  assert.is(((await failing) as ConclaveError).code, "CLOSED");
});

test.run();
