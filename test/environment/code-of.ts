/** How a promise ended: the code of its error, or "resolved". */
export const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "resolved",
    (error: unknown) => (error instanceof Error && "code" in error ? String(error.code) : String(error)),
  );
