/** What a mutant is: the real code with one rule broken, to see whether the simulator notices. */

import type { Invariant } from "../../../src/testing/invariants.ts";
import type { Profile } from "../../../src/testing/weather.ts";

/** One place in src/ where the source text is replaced. */
export interface Edit {
  /** In src/. */
  readonly file: string;
  /** Has to occur exactly once: a mutant that no longer fits the code is an error. */
  readonly find: string;
  readonly replace: string;
}

export interface Mutant {
  readonly name: string;
  /** The rule that it breaks, in a sentence, with the section of the paper or thesis that has it. */
  readonly rule: string;
  /** Most rules live in one place. */
  readonly edits: readonly [Edit, ...Edit[]];
  /** In which it is found fastest. */
  readonly profile: Profile;
  /** The only invariants that may catch it, if it is to be caught for the right reason; any by default. */
  readonly caughtBy?: readonly Invariant[];
  /** Why no run can tell it from the real code: another rule covers this one. Hunted only when it is asked for. */
  readonly redundant?: string;
  /** Why chance meets it in fewer than one of a hundred runs, and which test does. Hunted only when it is asked for. */
  readonly rare?: string;
}

/**
 * The source of a file with a mutant's edits in it.
 *
 * @throws RangeError if one of them does not fit
 */
export function mutated({ name, edits }: Pick<Mutant, "name" | "edits">, file: string, source: string): string {
  let text = source;
  for (const { find, replace } of edits.filter((edit) => edit.file === file)) {
    const count = text.split(find).length - 1;
    if (count !== 1) {
      const text = JSON.stringify(find);
      throw new RangeError(`the mutant ${name} does not fit: src/${file} has ${text} ${count} times`);
    }
    text = text.replace(find, () => replace);
  }
  return text;
}
