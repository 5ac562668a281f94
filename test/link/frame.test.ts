import * as fc from "fast-check";
import * as assert from "uvu/assert";
import {
  type Frame,
  HEADER_BYTES,
  joinFrames,
  MalformedFrame,
  PROTOCOL_VERSION,
  parseFrames,
} from "../../src/link/frame.ts";
import { suite } from "../support/suite.ts";

const test = suite("link/frame");

const frames = fc.array(
  fc.record({
    kind: fc.nat(0xff),
    correlation: fc.nat(0xffff_ffff),
    body: fc.uint8Array({ maxLength: 300 }),
  }),
  { minLength: 1, maxLength: 20 },
);

/** Bodies as they are in the message, whatever kind of view it was. */
const plain = (parsed: readonly Frame[]) => parsed.map((frame) => ({ ...frame, body: Array.from(frame.body) }));

const hello: Frame = { kind: 16, correlation: 7, body: Uint8Array.from([1, 2, 3]) };

/** A message of one frame with some of its bytes changed. */
function changed(change: (message: Uint8Array) => void): Uint8Array {
  const message = joinFrames([hello]);
  change(message);
  return message;
}

test("what is joined comes apart again", () => {
  void fc.assert(fc.property(frames, (sent) => assert.equal(plain(parseFrames(joinFrames(sent))), plain(sent))));
});

test("a message may sit anywhere within a larger buffer", () => {
  void fc.assert(
    fc.property(frames, fc.nat(50), (sent, before) => {
      const message = joinFrames(sent);
      const buffer = new Uint8Array(before + message.byteLength + 9).fill(0xee);
      buffer.set(message, before);
      const view = buffer.subarray(before, before + message.byteLength);
      assert.equal(plain(parseFrames(view)), plain(sent));
    }),
  );
});

test("bodies are not copied", () => {
  const message = joinFrames([hello]);
  assert.is(parseFrames(message)[0]?.body.buffer, message.buffer);
});

test("the header is the one that the document shows", () => {
  const expected = [3, 0, 0, 0, PROTOCOL_VERSION, 16, 0, 0, 7, 0, 0, 0, 1, 2, 3];
  assert.equal(Array.from(joinFrames([hello])), expected);
});

test("a message cut off anywhere is malformed", () => {
  const message = joinFrames([hello, hello]);
  const frameBytes = HEADER_BYTES + hello.body.byteLength;
  for (let length = 0; length < message.byteLength; length++) {
    if (length === frameBytes) continue; // The first frame alone is a message.
    assert.throws(
      () => parseFrames(message.subarray(0, length)),
      (error: unknown) => error instanceof MalformedFrame,
    );
  }
});

const malformed: Record<string, { readonly message: Uint8Array; readonly says: RegExp }> = {
  "an empty message": { message: new Uint8Array(0), says: /empty/ },
  "half a header": { message: joinFrames([hello]).subarray(0, 5), says: /within a header/ },
  "half a body": { message: joinFrames([hello]).subarray(0, 13), says: /past its message/ },
  "a length of four gigabytes": { message: changed((bytes) => bytes.fill(0xff, 0, 4)), says: /past its message/ },
  "an older version": { message: changed((bytes) => bytes.fill(0, 4, 5)), says: /version 0 / },
  "a newer version": { message: changed((bytes) => bytes.fill(2, 4, 5)), says: /version 2 / },
  "a reserved byte that is not zero": { message: changed((bytes) => bytes.fill(1, 6, 7)), says: /reserved/ },
  "the other reserved byte": { message: changed((bytes) => bytes.fill(1, 7, 8)), says: /reserved/ },
};

for (const [name, { message, says }] of Object.entries(malformed)) {
  test(`${name} is malformed, and the error says why`, () => {
    assert.throws(
      () => parseFrames(message),
      (error: unknown) => error instanceof MalformedFrame && says.test(error.message),
    );
  });
}

test("random bytes never throw anything but MalformedFrame", () => {
  const parse = (message: Uint8Array): void => {
    try {
      parseFrames(message);
    } catch (error) {
      assert.instance(error, MalformedFrame);
    }
  };
  void fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), parse), { numRuns: 1_000 });
  // Nearly right: one byte of a good message is wrong.
  void fc.assert(
    fc.property(frames, fc.nat(), fc.nat(255), (sent, at, value) => {
      const message = joinFrames(sent);
      message[at % message.byteLength] = value;
      parse(message);
    }),
    { numRuns: 1_000 },
  );
});

test.run();
