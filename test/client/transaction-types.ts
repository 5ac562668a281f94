/** What the compiler knows of a transaction's results: a mistake here is an error of `npm run check`, and nothing runs. */

import type { Client, KeyValueEntry, TransactionOperation } from "../../src/client/index.ts";

declare const client: Client;

export async function check(): Promise<void> {
  const { succeeded, results } = await client.transaction({
    if: [
      { key: "a", value: "1" },
      { key: "b", revision: { lessThan: 17, not: 3 }, exists: true },
      { key: "c", value: { greaterThan: Uint8Array.of(1) } },
    ],
    then: [
      { put: "a", value: "2" },
      { delete: "b" },
      { get: "c" },
      { increment: "n", by: 1 },
      { append: "t", value: "!" },
    ],
    else: [{ get: "a" }],
  });
  if (succeeded) {
    results satisfies readonly [
      { readonly revision: number },
      { readonly existed: boolean },
      KeyValueEntry | null,
      { readonly value: number },
      { readonly bytes: number },
    ];
    // @ts-expect-error: there is no sixth
    results[5];
    // @ts-expect-error: a get may find nothing
    results[2].value;
  } else {
    results satisfies readonly [KeyValueEntry | null];
  }

  const short = await client.transaction({ then: [{ increment: "n" }] }, { timeoutMs: 5 });
  if (short.succeeded) short.results[0].value satisfies number;
  else short.results satisfies readonly [];

  const operations: TransactionOperation[] = [{ get: "a" }];
  const some = await client.transaction({ then: operations });
  if (some.succeeded) for (const result of some.results) result?.revision satisfies number | undefined;

  // @ts-expect-error: a put needs a value
  await client.transaction({ then: [{ put: "a" }] });
  // @ts-expect-error: one operation does one thing
  await client.transaction({ then: [{ put: "a", value: "1", delete: "b" }] });
  // @ts-expect-error: an increment is a number
  await client.transaction({ then: [{ increment: "n", by: "1" }] });
  // @ts-expect-error: there is no such operation
  await client.transaction({ then: [{ swap: "a" }] });
  // @ts-expect-error: there is nothing like that to compare
  await client.transaction({ if: [{ key: "a", version: 1 }] });
  // @ts-expect-error: a revision is a number
  await client.transaction({ if: [{ key: "a", revision: { lessThan: "17" } }] });
}
