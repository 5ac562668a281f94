/** What tests of drafts have in common: changes, their refusals, and a state to change. */

import * as assert from "uvu/assert";
import { openDraft } from "../../src/machine/draft.ts";
import { tell } from "./plain-values.ts";

/** Changes a state, and tells which Maps and Sets have changed in place. */
export function change<S>(root: S, run: (draft: S) => void): { readonly root: S; readonly changed: unknown[] } {
  const changed: unknown[] = [];
  const draft = openDraft(root, { readonly: false });
  try {
    run(draft.root);
    return { root: draft.commit((collection) => void changed.push(collection)), changed };
  } finally {
    draft.drop();
  }
}

export const messageOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    assert.instance(error, TypeError);
    return (error as TypeError).message;
  }
  return "none";
};

/** What a change of the state ends in, which must leave all as it was. */
export function refusalOf<S>(root: S, run: (draft: S) => void): string {
  const before = tell(root);
  const message = messageOf(() => change(root, run));
  assert.is(tell(root), before);
  return message;
}

export const bank = () => ({
  accounts: new Map([
    ["a", { owner: "ann", tags: new Set(["x"]), opened: new Date(1), log: [{ n: 1 }, { n: 2 }] }],
    ["b", { owner: "bob", tags: new Set(["y"]), opened: new Date(2), log: [] }],
  ]),
  settings: { fee: 1, bytes: new Uint8Array([1, 2]) },
  list: [{ id: 1 }, { id: 2 }, { id: 3 }],
});
