/** Everything that the processes of a cluster tell, under one type. Field names are stable: tools may read them. */

import type { ActorStory } from "../actor/index.ts";
import type { DirectoryStory } from "../directory/index.ts";
import type { NodeProcessStory } from "../node/index.ts";

/** What a launcher, and a process about itself, have to tell. */
type ProcessStory =
  | { readonly event: "child-started"; readonly child: string; readonly pid: number }
  | { readonly event: "child-exited"; readonly child: string; readonly how: string; readonly expected: boolean }
  | { readonly event: "failed"; readonly code: string; readonly error: string }
  | { readonly event: "stopping" }
  | { readonly event: "stopped" };

export type Story = NodeProcessStory | DirectoryStory | ActorStory | ProcessStory;
