/** Logs that no replica should be afraid of: sessions that come and go, retries, gaps, and nonsense among them. */

import * as fc from "fast-check";
import { encodePayload } from "../../src/machine/commands.ts";
import { encodeCommand } from "../../src/machine/key-value-protocol.ts";

/** Sessions, and the numbers of commands, are few, so that they meet. */
export const number = fc.integer({ min: 1, max: 8 });

const command = fc.oneof(
  fc.record({ op: fc.constant("put" as const), key: fc.constantFrom("a", "b"), value: fc.string({ maxLength: 3 }) }),
  fc.record({ op: fc.constant("increment" as const), key: fc.constantFrom("a", "n"), by: fc.integer() }),
  fc.record({ op: fc.constant("delete" as const), key: fc.constantFrom("a", "b", "n") }),
);

/** What an entry of the log holds; null if it is no command. */
export const payload: fc.Arbitrary<Uint8Array | null> = fc.oneof(
  fc.constant(null),
  fc.uint8Array({ maxLength: 20 }),
  fc.constant(encodePayload({ type: "open-session" })),
  fc
    .record({
      type: fc.constant("commands" as const),
      session: number,
      floor: number,
      first: number,
      commands: fc.array(command.map(encodeCommand), { maxLength: 4 }),
    })
    .map(encodePayload),
  fc
    .record({
      type: fc.constant("expire-sessions" as const),
      sessions: fc.array(fc.record({ id: number, next: number }), { maxLength: 3 }),
    })
    .map(encodePayload),
);
