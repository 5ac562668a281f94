/** How those wait who wait for something of the cluster anyway: they can as well wait for a cluster that is away. */

import type { ClientEnvironment } from "../../environment.ts";
import { ConclaveError, hasCode } from "../../errors.ts";

/** So often within its time to live somebody lets know of itself. */
export const RENEWALS = 3;
export const RETRY_MS = 50;

const PASSING = ["UNKNOWN_OUTCOME", "TIMEOUT", "NO_LEADER", "BUSY", "MACHINE_INACTIVE"] as const;

/** Did the cluster only not answer just now? */
export const isPassing = (error: unknown): boolean => hasCode(error, ...PASSING);

export const rest = ({ clock }: ClientEnvironment): Promise<void> =>
  new Promise((resolve) => void clock.setTimer(RETRY_MS, resolve));

/** Asks until the cluster answers. @throws what is no passing trouble: `ABORTED`, `CLOSED`, `REJECTED` */
export async function patiently<T>(environment: ClientEnvironment, ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!isPassing(error)) throw error;
      await rest(environment);
    }
  }
}

/** Did a machine refuse it, for that reason? */
export function isRefused(error: unknown, wanted: string): error is ConclaveError {
  if (!hasCode(error, "REJECTED")) return false;
  const { reason } = error.details;
  return reason === wanted;
}

/** What a machine refuses for a bound is what it would be of any other: `BUSY`, or `TOO_LARGE`. */
export async function bounded<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    const code = isRefused(error, "FULL") ? "BUSY" : isRefused(error, "TOO_LARGE") ? "TOO_LARGE" : null;
    if (code === null || !(error instanceof ConclaveError)) throw error;
    const { details } = error.details;
    throw new ConclaveError(code, error.message, { cause: error, details: details as Record<string, unknown> });
  }
}
