/**
 * Names in a row. A Map has an order, too; but whoever takes the first out of a large one, again and again, walks over all
 * that were taken out before.
 */

export interface Row {
  /** Where the first one stands; and where the next one will. */
  first: number;
  next: number;
  readonly at: Map<number, string>;
}

export const newRow = (): Row => ({ first: 0, next: 0, at: new Map() });

/** @returns where it stands */
export function append(row: Row, name: string): number {
  row.at.set(row.next, name);
  return row.next++;
}

/** @returns where it stands */
export function prepend(row: Row, name: string): number {
  row.at.set(--row.first, name);
  return row.first;
}

/** Takes out what stands somewhere. Gaps are passed but once, when what was before them is gone. */
export function remove(row: Row, place: number): void {
  row.at.delete(place);
  while (row.first < row.next && !row.at.has(row.first)) row.first++;
}

/** Takes out the first one; null if there is none. */
export function shift(row: Row): string | null {
  const name = row.at.get(row.first) ?? null;
  if (name !== null) remove(row, row.first);
  return name;
}
