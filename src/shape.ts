/**
 * What messages have to look like, in the words of valibot. That library explains to people every mistake in what they
 * wrote, which is what a configuration needs; what machines send is right or refused, and a page loads as much less.
 */

import { messageOf } from "./errors.ts";

export interface Shape<T> {
  /** Gives a value as what it has to be, without what it has beside that. @throws TypeError if it is something else */
  parse(value: unknown): T;
}

/** What has that shape. */
export type InferOutput<S> = S extends Shape<infer T> ? T : never;

/** Throws at a value that it does not like. */
type Check<T> = (value: T) => void;

const refuse = (wanted: string): never => {
  throw new TypeError(`this is not ${wanted}`);
};

export const check =
  <T>(is: (value: T) => boolean, wanted: string): Check<T> =>
  (value) =>
    void (is(value) || refuse(wanted));

export const custom = <T>(is: (value: unknown) => boolean, wanted: string): Shape<T> => ({
  parse: (value) => (is(value) ? (value as T) : refuse(wanted)),
});

export const pipe = <T>(shape: Shape<T>, ...checks: readonly Check<NoInfer<T>>[]): Shape<T> => ({
  parse: (value) => {
    const parsed = shape.parse(value);
    for (const one of checks) one(parsed);
    return parsed;
  },
});

export const unknown = (): Shape<unknown> => custom(() => true, "");
export const string = (): Shape<string> => custom((value) => typeof value === "string", "text");
export const boolean = (): Shape<boolean> => custom((value) => typeof value === "boolean", "true or false");
/** NaN is none. */
export const number = (): Shape<number> =>
  custom((value) => typeof value === "number" && !Number.isNaN(value), "a number");
export const picklist = <const T extends string>(texts: readonly T[]): Shape<T> =>
  custom((value) => texts.includes(value as T), texts.join(" or "));

/** Only for the types of what is made of it. */
export interface Literal<T> extends Shape<T> {
  readonly text: T;
}

export const literal = <const T extends string>(text: T): Literal<T> => ({ text, ...picklist([text]) });

interface Sized {
  readonly length: number;
}

export const integer = (): Check<number> => check(Number.isInteger, "an integer");
export const safeInteger = (): Check<number> => check(Number.isSafeInteger, "a safe integer");
export const minValue = (least: number): Check<number> => check((value) => value >= least, `${least} or more`);
export const minLength = (least: number): Check<Sized> => check(({ length }) => length >= least, `${least} or longer`);
export const maxLength = (most: number): Check<Sized> => check(({ length }) => length <= most, `${most} or shorter`);

export const nullable = <T>(shape: Shape<T>): Shape<T | null> => ({
  parse: (value) => (value === null ? null : shape.parse(value)),
});

/** @param instead stands for what is not there */
export const optional = <T>(shape: Shape<T>, instead: NoInfer<T>): Shape<T> => ({
  parse: (value) => (value === undefined ? instead : shape.parse(value)),
});

export const array = <T>(item: Shape<T>): Shape<T[]> => ({
  parse: (value) => (Array.isArray(value) ? value.map((one, i) => within(i, item, one)) : refuse("a list")),
});

/** Fields of any name, which are all alike. */
export const record = <T>(name: Shape<string>, field: Shape<T>): Shape<Record<string, T>> => ({
  parse: (value) =>
    Object.fromEntries(Object.entries(fieldsOf(value)).map(([key, one]) => [name.parse(key), within(key, field, one)])),
});

export type Fields = Readonly<Record<string, Shape<unknown>>>;
export type Shaped<F extends Fields> = { -readonly [Name in keyof F]: InferOutput<F[Name]> };

export interface ObjectShape<F extends Fields> extends Shape<Shaped<F>> {
  readonly fields: F;
}

export function object<const F extends Fields>(fields: F): ObjectShape<F> {
  const entries = Object.entries(fields);
  return {
    fields,
    parse: (value) => {
      const given = fieldsOf(value);
      const parsed: Record<string, unknown> = {};
      for (const [name, field] of entries) parsed[name] = within(name, field, given[name]);
      return parsed as Shaped<F>;
    },
  };
}

/** One of several objects, which tell by a field what they are. */
export function variant<K extends string, const O extends ObjectShape<Fields & Readonly<Record<K, Literal<string>>>>>(
  key: K,
  options: readonly O[],
): Shape<InferOutput<O>> {
  const known = new Map<unknown, Shape<unknown>>(options.map((option) => [option.fields[key].text, option]));
  return {
    parse: (value) => (known.get(fieldsOf(value)[key]) ?? refuse(`of a known ${key}`)).parse(value) as InferOutput<O>,
  };
}

const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : refuse("an object");

/** A mistake is told with the place where it is. */
function within<T>(place: string | number, shape: Shape<T>, value: unknown): T {
  try {
    return shape.parse(value);
  } catch (error) {
    throw new TypeError(`${place}: ${messageOf(error)}`);
  }
}
