/** What came last, and which token it had: whoever asks again, not having been answered, is told so. */

import { append, newRow, type Row, shift } from "./row.ts";

export interface Recent {
  readonly tokens: Map<string, number>;
  readonly row: Row;
}

export const newRecent = (): Recent => ({ tokens: new Map(), row: newRow() });

/** @param countMax how many are known at most: those before them are forgotten */
export function remember(recent: Recent, key: string, token: number, countMax: number): void {
  if (!recent.tokens.has(key)) append(recent.row, key);
  recent.tokens.set(key, token);
  if (recent.tokens.size > countMax) recent.tokens.delete(shift(recent.row) ?? "");
}
