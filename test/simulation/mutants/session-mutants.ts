/** Mutants of what clients are promised, on both sides. */

import type { Mutant } from "./mutant.ts";

export const SESSION_MUTANTS: readonly Mutant[] = [
  {
    name: "sessions-forgotten-on-restart",
    rule: "Sessions are a part of the replicated state, and come back with it (thesis, 6.3).",
    profile: "hostile",
    edits: [
      {
        file: "machine/replica.ts",
        find: "  query(query: Uint8Array): Uint8Array {",
        replace: "  forget(): void {\n    this.#sessions.clear();\n  }\n\n  query(query: Uint8Array): Uint8Array {",
      },
      {
        file: "node/start.ts",
        find: 'const replica = new Replica(options.machine, (index, error) => tell({ event: "machine-failed", index, error }));',
        replace: `const replica = new (class extends Replica {
    override apply(index: number, payload: Uint8Array | null): ReturnType<Replica["apply"]> {
      if (index === commitIndex + 1 && commitIndex > 0) this.forget();
      return super.apply(index, payload);
    }
  })(options.machine, (index, error) => tell({ event: "machine-failed", index, error }));`,
      },
    ],
  },
  {
    name: "retry-applied-twice",
    rule: "A command that was applied is not applied again when its client retries it (thesis, 6.3).",
    profile: "hostile",
    edits: [
      {
        file: "machine/replica.ts",
        find: "      if (number === session.next && hasRoom(session)) {\n        session.next++;",
        replace:
          "      {\n        if (number < session.next) session.outcomes.pop();\n" +
          "        session.next = Math.max(session.next, number + 1);",
      },
    ],
  },
  {
    name: "sent-taken-for-unsent",
    rule: "A client that has sent a command does not say that nothing was changed (thesis, 6.3).",
    profile: "hostile",
    rare:
      "a command has to be committed, and its leader lost, and no other one found before its deadline; " +
      "a test of the client has it",
    edits: [
      {
        file: "client/commands.ts",
        find: "if (command.sending !== 0) command.unsure = true;\n      command.sending = 0;",
        replace: "command.sending = 0;",
      },
    ],
  },
  {
    name: "one-deadline-for-all",
    rule: "A call ends when its own time is up, however long others may wait.",
    profile: "hostile",
    caughtBy: ["deadline-kept", "calls-answered"],
    edits: [
      {
        file: "alarm.ts",
        find: "if (this.#set !== null && this.#set.atMs <= atMs) return;",
        replace: "if (this.#set !== null) return;",
      },
    ],
  },
];
