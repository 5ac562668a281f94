/** Watching what has a state: what is there first, and then every change, in order and without a gap. */

import type { ClientEnvironment } from "../../environment.ts";
import { hasCode } from "../../errors.ts";
import { patiently } from "./patience.ts";

/** Some entries in the order of their keys, and the last revision whose change they tell of. */
export interface Page<Entry> {
  readonly entries: readonly Entry[];
  /** There are more behind the last one. */
  readonly more: boolean;
  readonly revision: number;
}

export interface Followed<Entry, Change> {
  readonly environment: ClientEnvironment;
  /** The entries behind a key. */
  page(after: string): Promise<Page<Entry>>;
  changes(fromRevision: number): AsyncIterable<{ readonly revision: number; readonly change: Change }>;
}

/** What is there, in place of all that was told before; or one change. */
export type Step<Entry, Change> =
  | { readonly type: "current"; readonly entries: readonly Entry[] }
  | { readonly type: "changed"; readonly change: Change };

type Keyed = { readonly key: string };

/** What is there, page by page, and up to which revision each page tells how it is. */
export async function readAll<Entry extends Keyed>(
  page: (after: string) => Promise<Page<Entry>>,
): Promise<{
  readonly entries: readonly Entry[];
  readonly toldUntil: (key: string) => number;
  readonly revision: number;
}> {
  const entries: Entry[] = [];
  const ends: { readonly key: string; readonly revision: number }[] = [];
  for (let after = ""; ; ) {
    const { entries: some, more, revision } = await page(after);
    entries.push(...some);
    const last = some.at(-1)?.key;
    if (last === undefined || !more) {
      const toldUntil = (key: string): number => ends.find((one) => key <= one.key)?.revision ?? revision;
      return { entries, toldUntil, revision: ends[0]?.revision ?? revision };
    }
    ends.push({ key: last, revision });
    after = last;
  }
}

/**
 * Where changes were missed, since they are kept no more, all that is there is told anew.
 *
 * @throws ConclaveError `ABORTED`, `CLOSED`
 */
export async function* follow<Entry extends Keyed, Change extends Keyed>({
  environment,
  page,
  changes,
}: Followed<Entry, Change>): AsyncGenerator<Step<Entry, Change>, void, undefined> {
  for (;;) {
    const { entries, toldUntil, revision: first } = await readAll((after) => patiently(environment, () => page(after)));
    yield { type: "current", entries };
    try {
      for await (const { revision, change } of changes(first + 1)) {
        // A later page may have told of it.
        if (revision > toldUntil(change.key)) yield { type: "changed", change };
      }
    } catch (error) {
      if (!hasCode(error, "COMPACTED")) throw error;
    }
  }
}
