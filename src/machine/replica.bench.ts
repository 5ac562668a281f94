/** Applying what a client has sent, from the payload of an entry to the outcomes of its commands. */

import { bench, do_not_optimize, group } from "mitata";
import { decodePayload, encodeOutcomes, encodePayload } from "./commands.ts";
import { KeyValueMachine } from "./key-value.ts";
import { decodeCommand, encodeCommand } from "./key-value-protocol.ts";
import { Replica } from "./replica.ts";

const KEYS = 100_000;
const VALUE = "x".repeat(64);
const BATCH = 100;

const put = (i: number): Uint8Array =>
  encodeCommand({ op: "put", key: String(i % KEYS).padStart(16, "0"), value: VALUE });

/** Entries of one session that put all keys again and again. */
function* entries(session: number, size: number): Generator<Uint8Array, never> {
  for (let first = 1; ; first += size) {
    const commands = Array.from({ length: size }, (_, i) => put(first + i));
    yield encodePayload({ type: "commands", session, floor: first, first, commands });
  }
}

function filled(size: number): { readonly replica: Replica; next(): Uint8Array } {
  const replica = new Replica(new KeyValueMachine(), (_index, error) => {
    throw new Error(error);
  });
  replica.apply(1, encodePayload({ type: "open-session" }));
  const payloads = entries(1, size);
  const next = (): Uint8Array => payloads.next().value;
  for (let left = KEYS / size; left > 0; left--) replica.apply(replica.appliedIndex + 1, next());
  return { replica, next };
}

group("apply entries of puts to 100,000 keys", () => {
  for (const size of [1, BATCH]) {
    bench(`${size} to an entry`, function* () {
      const { replica, next } = filled(size);
      yield {
        [0]: next,
        bench: (payload: Uint8Array) => do_not_optimize(replica.apply(replica.appliedIndex + 1, payload)),
      };
    });
  }
});

group(`the language of commands, ${BATCH} at a time`, () => {
  const commands = Array.from({ length: BATCH }, (_, i) => put(i));
  const payload = encodePayload({ type: "commands", session: 1, floor: 1, first: 1, commands });
  const outcomes = Array.from({ length: BATCH }, () => ({ type: "applied", result: new Uint8Array(9) }) as const);
  bench("encode commands", () => do_not_optimize(Array.from({ length: BATCH }, (_, i) => put(i))));
  bench("encode a payload", () =>
    do_not_optimize(encodePayload({ type: "commands", session: 1, floor: 1, first: 1, commands })),
  );
  bench("decode a payload", () => do_not_optimize(decodePayload(payload)));
  bench("decode commands", () => {
    for (const command of commands) do_not_optimize(decodeCommand(command));
  });
  bench("encode outcomes", () => do_not_optimize(encodeOutcomes(outcomes)));
});
