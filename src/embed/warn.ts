/** What must not go unheard, where nobody asked to be told of anything. */

import type { NodeProcessStory } from "../node/index.ts";

const WARNINGS_MAX = 100;
const warnings = new Set<string>();

/** Callers are not told what a machine threw: it may differ from replica to replica. Whoever writes it has to hear of it. */
export function warn(story: NodeProcessStory): void {
  const text =
    story.event === "machine-failed"
      ? `A state machine has failed: ${story.error}`
      : story.event === "activation-failed"
        ? `Version ${story.version} of machine ${story.name} can't be brought into use: ${story.reason}`
        : null;
  if (text === null || warnings.has(text) || warnings.size >= WARNINGS_MAX) return;
  warnings.add(text); // Each once: what is wrong is wrong at every call, and on every replica.
  process.emitWarning(text, "ConclaveWarning");
}
