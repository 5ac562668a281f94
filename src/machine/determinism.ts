/**
 * What differs from replica to replica throws while a command runs: a machine that looks at the clock works in its tests
 * and parts the replicas later, which no test finds so easily.
 */

/** What a command wants with it, and has in its context. */
const INSTEAD = {
  time: "use context.timeMs",
  chance: "use context.random() or context.id()",
  later: "a command is over when it returns; context.setTimer has another one applied later",
} as const;

class Undetermined extends Error {
  override readonly name = "Undetermined";
}

function refusing(what: string, instead: keyof typeof INSTEAD): () => never {
  return () => {
    throw new Undetermined(`${what} would part the replicas: ${INSTEAD[instead]}.`);
  };
}

type Methods = Record<string, unknown>;

const globals = globalThis as unknown as Methods;
// Not every type checker knows of every one of these.
const { performance, crypto, process } = globalThis as unknown as Readonly<Record<string, Methods | undefined>>;

/** Each function that is replaced: where it is, its name, and what stands there meanwhile. */
const REPLACED: readonly (readonly [owner: Methods | undefined, name: string, substitute: unknown])[] = [
  [globals, "Date", datelessDate()],
  [Math as unknown as Methods, "random", refusing("Math.random()", "chance")],
  [performance, "now", refusing("performance.now()", "time")],
  [
    process,
    "hrtime",
    Object.assign(refusing("process.hrtime()", "time"), { bigint: refusing("process.hrtime.bigint()", "time") }),
  ],
  [process, "uptime", refusing("process.uptime()", "time")],
  [crypto, "randomUUID", refusing("crypto.randomUUID()", "chance")],
  [crypto, "getRandomValues", refusing("crypto.getRandomValues()", "chance")],
  ...["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "fetch"].map(
    (name) => [globals, name, refusing(`${name}()`, "later")] as const,
  ),
  [AbortSignal as unknown as Methods, "timeout", refusing("AbortSignal.timeout()", "later")],
];

/** `Date`, for dates that are given, and not for the present one. */
function datelessDate(): typeof Date {
  const refuse = refusing("The present time", "time");
  return new Proxy(Date, {
    apply: refuse,
    construct: (target, args, newTarget) => (args.length === 0 ? refuse() : Reflect.construct(target, args, newTarget)),
    get: (target, property) => (property === "now" ? refuse : Reflect.get(target, property)),
  });
}

/** Runs a function without anything that would differ from replica to replica. */
export function determined<T>(run: () => T): T {
  const before = REPLACED.map(([owner, name, substitute]) => {
    if (owner === undefined) return undefined;
    const descriptor = Object.getOwnPropertyDescriptor(owner, name);
    Object.defineProperty(owner, name, { value: substitute, configurable: true, writable: true, enumerable: true });
    return descriptor;
  });
  try {
    return run();
  } finally {
    for (const [i, [owner, name]] of REPLACED.entries()) {
      const descriptor = before[i];
      if (owner === undefined) continue;
      if (descriptor === undefined) delete owner[name];
      else Object.defineProperty(owner, name, descriptor);
    }
  }
}
