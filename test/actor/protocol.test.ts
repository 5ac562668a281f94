import * as fc from "fast-check";
import * as assert from "uvu/assert";
import {
  decodeError,
  decodeLetter,
  encodeError,
  encodeLetter,
  normalUrl,
  packed,
  parseAddress,
} from "../../src/actor/protocol.ts";
import { ConclaveError, hasCode } from "../../src/errors.ts";
import * as v from "../../src/shape.ts";
import { suite } from "../support/suite.ts";

const test = suite("actor/protocol");

const name = fc
  .string({ unit: "grapheme", maxLength: 40 })
  .filter((text) => new TextEncoder().encode(text).length <= 255);
const invalid = (error: unknown): boolean => hasCode(error, "INVALID_ARGUMENT");

test("a letter that is written can be read", () => {
  void fc.assert(
    fc.property(name, name, fc.uint8Array(), (to, from, payload) => {
      const letter = decodeLetter(encodeLetter({ to, from, payload }));
      assert.equal({ ...letter, payload: Array.from(letter.payload) }, { to, from, payload: Array.from(payload) });
    }),
  );
});

test("a letter cut off within its address can't be read", () => {
  const body = encodeLetter({ to: "directory", from: "client", payload: new Uint8Array(0) });
  for (let length = 0; length < body.byteLength; length++) {
    assert.throws(
      () => decodeLetter(body.subarray(0, length)),
      (error: unknown) => error instanceof RangeError,
    );
  }
});

test("bytes that are no letter throw what the comment says and nothing else", () => {
  void fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      try {
        decodeLetter(bytes);
      } catch (error) {
        assert.ok(error instanceof RangeError || error instanceof TypeError);
      }
    }),
    { numRuns: 1_000 },
  );
});

test("a name too long for a letter is refused by its writer", () => {
  const payload = new Uint8Array(0);
  assert.throws(() => encodeLetter({ to: "ü".repeat(128), from: "", payload }), invalid);
  assert.not.throws(() => encodeLetter({ to: "ü".repeat(127), from: "", payload }));
});

test("packed takes what its schema takes and throws on the rest", () => {
  const codec = packed(v.object({ index: v.number() }));
  assert.equal(codec.decode(codec.encode({ index: 7 })), { index: 7 });
  const other = packed(v.object({ index: v.string() }));
  assert.throws(() => codec.decode(other.encode({ index: "7" })));
  void fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        assert.type(codec.decode(bytes).index, "number");
      } catch (error) {
        assert.instance(error, Error);
      }
    }),
    { numRuns: 2_000 },
  );
});

test("a failure that is no ConclaveError travels as ACTOR_FAILED", () => {
  const error = decodeError(encodeError(new TypeError("x is undefined")));
  assert.equal([error.code, error.message], ["ACTOR_FAILED", "x is undefined"]);
});

test("a failure travels with what can be sent of it", () => {
  const full = decodeError(
    encodeError(new ConclaveError("REJECTED", "no", { details: { left: new Map([["a", 1n]]) } })),
  );
  assert.equal(full.details, { left: new Map([["a", 1n]]) });
  const rest = decodeError(encodeError(new ConclaveError("REJECTED", "half \ud800", { details: { retry: () => {} } })));
  assert.equal([rest.code, rest.message, rest.details], ["REJECTED", "half \ufffd", {}]);
});

test("a code from a newer version is ACTOR_FAILED, and what it said is kept", () => {
  const { encode } = packed(v.unknown());
  const error = decodeError(encode({ code: "FROM_THE_FUTURE", message: "flux", details: { a: 1 } }));
  assert.equal([error.code, error.message, error.details], ["ACTOR_FAILED", "flux", { a: 1 }]);
});

test("an error can't be made to carry the name of something inherited as its code", () => {
  const { encode } = packed(v.unknown());
  assert.is(decodeError(encode({ code: "toString", message: "", details: {} })).code, "ACTOR_FAILED");
});

test("bytes that are no error are BAD_MESSAGE", () => {
  void fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => assert.instance(decodeError(bytes), ConclaveError)),
    { numRuns: 1_000 },
  );
});

test("a process is known by one URL, however it is written", () => {
  for (const text of ["ws://127.0.0.1:7101", "ws://127.0.0.1:7101/", "WS://127.0.0.1:7101/?x=1#y"]) {
    assert.is(normalUrl(text), "ws://127.0.0.1:7101");
  }
  assert.is(normalUrl("ws://LocalHost:80/"), "ws://localhost");
  assert.is(normalUrl("wss://[::1]:7101"), "wss://[::1]:7101");
  assert.is(normalUrl("wss://example.org/app/conclave/"), "wss://example.org/app/conclave");
});

test("what is no WebSocket URL is INVALID_ARGUMENT", () => {
  for (const text of ["", "nonsense", "127.0.0.1:7101", "http://127.0.0.1:7101", "ws://", "ws://a:99999"]) {
    assert.throws(() => normalUrl(text), invalid, text);
  }
});

test("an address is a process and a name in it", () => {
  assert.equal(parseAddress("ws://127.0.0.1:7101/node"), { url: "ws://127.0.0.1:7101", name: "node" });
  assert.equal(parseAddress("ws://h:1/a%20b"), { url: "ws://h:1", name: "a b" });
  assert.equal(parseAddress("ws://h:1/app/node"), { url: "ws://h:1/app", name: "node" });
});

test("an address without a name, or that can't be read, is INVALID_ARGUMENT", () => {
  for (const text of ["ws://h:1", "ws://h:1/", "ws://h:1/a%2Fb", "nonsense", "ws://h:1/%E0%A4%A"]) {
    assert.throws(() => parseAddress(text), invalid, text);
  }
});

test.run();
