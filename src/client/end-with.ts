/** Ends that follow others. */

/**
 * Fires `end` as soon as one of the signals fires, with its reason. What has come to its end otherwise has to fire it, too:
 * only then do the signals, which may live for as long as the process, forget of it.
 *
 * `AbortSignal.any`, and listeners with a signal of their own, would forget by themselves; but Node keeps what those are
 * made of, with all that hangs on it, where nobody ends anything because everybody is gone.
 */
export function endWith(end: AbortController, ...signals: readonly (AbortSignal | undefined)[]): AbortSignal {
  for (const signal of signals) if (signal !== undefined) follow(end, signal);
  return end.signal;
}

function follow(end: AbortController, signal: AbortSignal): void {
  if (end.signal.aborted) return;
  const fire = (): void => end.abort(signal.reason);
  if (signal.aborted) {
    fire();
    return;
  }
  signal.addEventListener("abort", fire);
  end.signal.addEventListener("abort", () => signal.removeEventListener("abort", fire));
}
