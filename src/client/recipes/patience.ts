/** How those wait who wait for something of the cluster anyway: they can as well wait for a cluster that is away. */

import type { ClientEnvironment } from "../../environment.ts";
import { hasCode } from "../../errors.ts";

/** So often within its time to live somebody lets know of itself. */
export const RENEWALS = 3;
export const RETRY_MS = 50;

const PASSING = ["UNKNOWN_OUTCOME", "TIMEOUT", "NO_LEADER", "BUSY", "MACHINE_INACTIVE"] as const;

/** Did the cluster only not answer just now? */
export const isPassing = (error: unknown): boolean => PASSING.some((code) => hasCode(error, code));

export const rest = ({ clock }: ClientEnvironment): Promise<void> =>
  new Promise((resolve) => void clock.setTimer(RETRY_MS, resolve));
