/** Mutants of machines that have names, of their timers and changes, and of what is built on them, on both sides. */

import type { Mutant } from "./mutant.ts";

export const RECIPE_MUTANTS: readonly Mutant[] = [
  {
    name: "hold-from-the-answer",
    rule: "A hold counts from before the question was asked that has renewed it, not from its answer.",
    profile: "calm",
    caughtBy: ["hold-exclusive"],
    edits: [
      {
        file: "client/recipes/kept-alive.ts",
        find: "if (isKept) this.#expiry.extend(askedMs + usableMs(ttlMs));",
        replace: "if (isKept) this.#expiry.extend(environment.clock.nowMs() + usableMs(ttlMs));",
      },
    ],
  },
  {
    name: "signal-by-timer",
    rule: "A signal that is asked asks the clock: a process that stood still gets to its timers late.",
    profile: "hostile",
    caughtBy: ["hold-exclusive"],
    edits: [
      {
        file: "client/recipes/expiring-signal.ts",
        find: "  const fired = (): boolean => {\n    look();",
        replace: "  const fired = (): boolean => {",
      },
    ],
  },
  {
    name: "renewed-for-nothing",
    rule: "Who lets know of itself has its whole time again.",
    profile: "faulty",
    caughtBy: ["hold-exclusive"],
    edits: [
      {
        file: "machine/recipes/locks.ts",
        find: "      setTimer({ name, owner }, wish.ttlMs, context);\n      return { token: held",
        replace: "      return { token: held",
      },
    ],
  },
  {
    name: "granted-while-held",
    rule: "The next in line gets a lock once its holder has left it.",
    profile: "faulty",
    caughtBy: ["permits-kept"],
    edits: [
      {
        file: "machine/recipes/locks.ts",
        find: "if (lock.holders.size >= lock.permits) break;",
        replace: "if (lock.holders.size > lock.permits) break;",
      },
    ],
  },
  {
    name: "job-of-who-had-it",
    rule: "A job is acknowledged by who has it, and by nobody who had it before.",
    profile: "faulty",
    caughtBy: ["jobs-kept", "hold-exclusive"],
    edits: [
      {
        file: "machine/recipes/queue-state.ts",
        find: "return queue !== undefined && queue.jobs.get(id)?.taken?.token === token ? queue : null;",
        replace: "return queue !== undefined && (queue.jobs.get(id)?.taken?.token ?? 0) >= token ? queue : null;",
      },
    ],
  },
  {
    name: "job-lost-with-its-taker",
    rule: "A job that was not acknowledged in time is visible to others again.",
    profile: "faulty",
    caughtBy: ["comes-to-an-end"],
    edits: [
      {
        file: "machine/recipes/queue-state.ts",
        find: "  if (attempts < terms.attemptsMax) {\n    showLater(queue, id, delayMs, context);",
        replace: "  if (attempts < terms.attemptsMax) {\n    if (delayMs > 0) showLater(queue, id, delayMs, context);",
      },
    ],
  },
  {
    name: "timers-run-out-at-once",
    rule: "A new leader gives every timer its full time again: it does not know when it was set.",
    profile: "faulty",
    caughtBy: ["timers-kept"],
    edits: [
      {
        file: "node/timekeeper.ts",
        find: "if (this.#isLeader) for (const timer of this.#replica.timers()) this.set(timer);",
        replace:
          "if (this.#isLeader) for (const { id, generation } of this.#replica.timers()) this.#run(id, generation, 0);",
      },
    ],
  },
  {
    name: "timers-not-taken-over",
    rule: "A new leader watches over the timers that were set before it led.",
    profile: "faulty",
    caughtBy: ["comes-to-an-end"],
    edits: [
      {
        file: "node/timekeeper.ts",
        find: "if (this.#isLeader) for (const timer of this.#replica.timers()) this.set(timer);",
        replace: "",
      },
    ],
  },
  {
    name: "old-timer-runs-out",
    rule: "A timer that was set anew since its leader looked does not run out.",
    profile: "hostile",
    edits: [
      {
        file: "machine/typed-machine.ts",
        find: "if (alarm?.generation !== generation) return;",
        replace: "if (alarm === undefined) return;",
      },
    ],
  },
  {
    name: "snapshot-without-timers",
    rule: "Timers are a part of the replicated state, and so of its snapshots.",
    profile: "hostile",
    edits: [
      {
        file: "machine/typed-parts.ts",
        find: "  const set = [...timers.values()];",
        replace: "  const set = [...timers.values()].slice(0, 0);",
      },
    ],
  },
  {
    name: "snapshot-without-tokens",
    rule: "What was given out once is not given out again after a snapshot.",
    profile: "hostile",
    edits: [
      {
        file: "machine/typed-parts.ts",
        find: ".u53(serial).u53(changes.firstRevision)",
        replace: ".u53(0 * serial).u53(changes.firstRevision)",
      },
    ],
  },
  {
    name: "changes-twice-after-snapshot",
    rule: "Changes keep their revisions in a snapshot: none comes a second time under another one.",
    profile: "hostile",
    edits: [
      {
        file: "machine/typed-parts.ts",
        find: "const changes = new KeptChanges(boundsOf(definition), reader.u53() - 1);",
        replace: "const changes = new KeptChanges(boundsOf(definition), reader.u53());",
      },
    ],
  },
  {
    name: "changes-begin-anew",
    rule: "A machine goes on with its changes when the cluster goes over to a newer version of it.",
    profile: "faulty",
    edits: [
      {
        file: "machine/typed-machine.ts",
        find: "for (const change of changes.all()) kept.add(change);",
        replace: "",
      },
    ],
  },
  {
    name: "refused-and-kept",
    rule: "A command that is refused leaves the state as it was.",
    profile: "faulty",
    caughtBy: ["commands-whole"],
    edits: [
      {
        file: "machine/plain-state.ts",
        find: "      this.#root = draft.commit((collection) => this.#keep(collection));\n      return result;\n    } finally {",
        replace:
          "      this.#root = draft.commit((collection) => this.#keep(collection));\n      return result;\n" +
          "    } catch (error) {\n      this.#root = draft.commit((collection) => this.#keep(collection));\n      throw error;\n    } finally {",
      },
    ],
  },
  {
    name: "refused-and-emitted",
    rule: "A command that is refused emits nothing.",
    profile: "faulty",
    caughtBy: ["changes-exact", "commands-whole"],
    edits: [
      {
        file: "machine/typed-machine.ts",
        find: "    for (const change of doing.emitted) changes.add(change);",
        replace: "",
      },
      {
        file: "machine/typed-machine.ts",
        find: "    this.emitted.push({ topic, bytes: encodeValue(plainOf(change)) });",
        replace: "    this.told.add({ topic, bytes: encodeValue(plainOf(change)) });",
      },
      {
        file: "machine/typed-machine.ts",
        find: "    const result = state.change((draft) =>",
        replace: "    doing.told = changes;\n    const result = state.change((draft) =>",
      },
      {
        file: "machine/typed-machine.ts",
        find: "  serial: number;\n  readonly #definition",
        replace: "  serial: number;\n  told = new KeptChanges({ countMax: 0, bytesMax: 0 });\n  readonly #definition",
      },
    ],
  },
  {
    name: "time-goes-back",
    rule: "The time that entries bring does not go back when another leader's clock is behind.",
    profile: "faulty",
    caughtBy: ["time-forward"],
    edits: [
      {
        file: "machine/replica.ts",
        find: "this.#timeMs = Math.max(this.#timeMs, timeMs);",
        replace: "this.#timeMs = timeMs;",
      },
    ],
  },
  {
    name: "drawn-by-each-for-itself",
    rule: "Random numbers follow from the place in the log, and from nothing that a replica has of its own.",
    profile: "faulty",
    caughtBy: ["state-machine-safety"],
    edits: [
      {
        file: "machine/seeded-random.ts",
        find: "let state = mixed(",
        replace: "let state = ++draws + mixed(",
      },
      {
        file: "machine/seeded-random.ts",
        find: "const WEYL",
        replace: "let draws = 0;\nconst WEYL",
      },
    ],
  },
  {
    name: "activated-before-all-have-it",
    rule: "A leader brings a machine into use once every member that it reaches has said that it can run it.",
    profile: "divided",
    caughtBy: ["activated-by-all"],
    edits: [
      {
        file: "node/activator.ts",
        find: "!others.every(({ id }) => canRun(id))",
        replace: "!others.some(({ id }) => canRun(id))",
      },
    ],
  },
];
