/** A clock that all processes of this machine share, so that what they tell can be put in order. */

/** Milliseconds since some moment, the same for all processes. */
export const sharedNowMs: () => number =
  "Deno" in globalThis || "Bun" in globalThis
    ? () => performance.timeOrigin + performance.now() // Theirs count from the start of the process.
    : () => Number(process.hrtime.bigint()) / 1e6;
