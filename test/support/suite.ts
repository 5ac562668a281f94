/** uvu, with two promises of our own: a test that hangs fails by a time limit, and it names itself. */

import { type Context, suite as uvuSuite } from "uvu";

const TEST_TIMEOUT_MS = 30_000;

export interface Suite {
  (name: string, body: () => void | Promise<void>, options?: { readonly timeoutMs?: number }): void;
  /** A test that this runtime can't run; the reason is printed. */
  skip(name: string, reason: string): void;
  /** Shows people what has happened, a line for each thing. */
  tell(story: readonly string[]): void;
  after(hook: () => void | Promise<void>): void;
  run(): void;
}

function within(body: () => void | Promise<void>, name: string, timeoutMs: number): () => Promise<void> {
  return async () => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`"${name}" did not end within ${timeoutMs} ms`)), timeoutMs);
    });
    try {
      await Promise.race([body(), late]);
    } catch (error) {
      // uvu takes `details` for a diff, and dies on one that is not text.
      const isOdd = error instanceof Error && "details" in error && typeof error.details !== "string";
      throw isOdd ? new Error(String(error), { cause: error }) : error;
    } finally {
      clearTimeout(timer);
    }
  };
}

/** A group of tests that run one after the other. */
export function suite(title: string): Suite {
  const tests = uvuSuite<Context>(title);
  const add = (name: string, body: () => void | Promise<void>, options: { readonly timeoutMs?: number } = {}): void => {
    tests(name, within(body, `${title}: ${name}`, options.timeoutMs ?? TEST_TIMEOUT_MS));
  };
  return Object.assign(add, {
    skip: (name: string, reason: string): void => {
      console.log(`skipped: ${title}: ${name} (${reason})`);
      tests.skip(name);
    },
    tell: (story: readonly string[]): void => console.log(["", ...story].join("\ntold: ")),
    after: (hook: () => void | Promise<void>): void => tests.after(async () => hook()),
    run: (): void => tests.run(),
  });
}
