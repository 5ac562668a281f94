/** What the compiler knows of a machine's methods: a mistake here is an error of `npm run check`, and nothing runs. */

import * as v from "valibot";
import type { MachineClient } from "../../src/client/machine-client.ts";
import { changesOf, type Machine, machine } from "../../src/machine/definition.ts";

const counter = machine({
  name: "counter",
  version: 1,
  state: () => ({ value: 0 }),
  changes: changesOf<{ by: number }>(),
  args: { set: v.object({ to: v.pipe(v.string(), v.transform(Number)) }) },
  commands: {
    add(state, { by }: { by: number }, context) {
      state.value += by;
      context.emit({ by });
      return state.value;
    },
    set(state, { to }: { to: number }) {
      state.value = to;
    },
    reset(state) {
      state.value = 0;
      return "done" as const;
    },
    maybe: (_state, args: number | undefined) => args,
    optional: (_state, args?: number) => args,
    anything: (_state, args: ReturnType<typeof JSON.parse>) => Boolean(args),
    unused: (_state, _args, context) => context.index,
    bare: () => 1,
  },
  queries: { value: (state) => state.value, plus: (state, more: number) => state.value + more },
  snapshot: {
    save: (state) => new Uint8Array([state.value]),
    load: ([value = 0]) => ({ value }),
  },
});

const plain = machine({
  name: "plain",
  version: 1,
  state: () => new Map<string, string>(),
  commands: { keep: (state, text: string) => void state.set(text, text) },
});

type ClientOf<M> = M extends Machine<infer _S, infer E, infer C, infer Q, infer A> ? MachineClient<C, Q, A, E> : never;
declare const one: ClientOf<typeof counter>;
declare const other: ClientOf<typeof plain>;

export async function check(): Promise<void> {
  (await one.add({ by: 1 })) satisfies number;
  await one.set({ to: "1" }, { timeoutMs: 5 });
  (await one.reset()) satisfies "done";
  (await one.maybe()) satisfies number | undefined;
  (await one.maybe(1)) satisfies number | undefined;
  (await one.optional()) satisfies number | undefined;
  (await one.optional(1, { timeoutMs: 5 })) satisfies number | undefined;
  (await one.anything()) satisfies boolean;
  (await one.anything(1)) satisfies boolean;
  (await one.unused()) satisfies number;
  (await one.value(undefined, { consistency: "stale" })) satisfies number;
  (await one.plus(1)) satisfies number;
  for await (const { revision, change } of one.changes()) (revision + change.by) satisfies number;
  await other.keep("a");
  // @ts-expect-error: text is no number
  await one.add({ by: "1" });
  // @ts-expect-error: the schema takes text
  await one.set({ to: 1 });
  // @ts-expect-error: there is no such command
  await one.subtract({ by: 1 });
  // @ts-expect-error: nor is text there
  await one.optional("1");
  // @ts-expect-error: none are taken
  await one.reset(1);
  // @ts-expect-error: nor here
  await one.bare(1);
  // @ts-expect-error: arguments are needed
  await one.add();
  // @ts-expect-error: nor is there any here
  await other.anything();
  machine({
    name: "wrong",
    version: 1,
    state: () => ({ value: 0 }),
    changes: changesOf<{ by: number }>(),
    // @ts-expect-error: a change of another type
    commands: { add: (_state, _args: undefined, context) => context.emit({ by: "1" }) },
  });
  machine({
    name: "misspelt",
    version: 1,
    state: () => ({ value: 0 }),
    commands: { add: (state, by: number) => (state.value += by) },
    queries: { plus: (state, more: number) => state.value + more },
    // @ts-expect-error: there is no such command
    args: { add: v.number(), plus: v.number(), ad: v.number() },
  });
  machine({
    name: "misspelt",
    version: 1,
    state: () => ({ value: 0 }),
    commands: { add: (state, by: number) => (state.value += by) },
    // @ts-expect-error: nor here, without queries
    args: { ad: v.number() },
  });
}
