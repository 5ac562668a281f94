/** How a typed line falls into words, and how columns line up. */

import { stripVTControlCharacters } from "node:util";
import { Chalk } from "chalk";
import * as assert from "uvu/assert";
import { splitWords } from "../../src/console/index.ts";
import { table } from "../../src/console/table.ts";
import { hasCode } from "../../src/errors.ts";
import { suite } from "../support/suite.ts";

const test = suite("console: words and tables");

const LINES: readonly (readonly [string, string, readonly string[]])[] = [
  ["nothing", "", []],
  ["blanks", " \t  ", []],
  ["words", "put a b", ["put", "a", "b"]],
  ["many blanks between", "  put \t a  ", ["put", "a"]],
  ["double quotes keep blanks", 'put "a key" b', ["put", "a key", "b"]],
  ["single quotes keep blanks", "put 'a key' b", ["put", "a key", "b"]],
  ["quotes of the other kind are letters", `put "it's" 'a "b"'`, ["put", "it's", 'a "b"']],
  ["an empty word in quotes is a word", `put k ""`, ["put", "k", ""]],
  ["quotes within a word", `a"b c"d`, ["ab cd"]],
  ["a backslash keeps a blank", "a\\ b", ["a b"]],
  ["a backslash keeps a quote", 'say \\"hi\\"', ["say", '"hi"']],
  ["a backslash in double quotes", '"a\\"b"', ['a"b']],
  ["no backslash in single quotes", "'a\\b'", ["a\\b"]],
  ["a backslash at the end is itself", "a\\", ["a\\"]],
  ["letters of every script", "put ключ 值 😀", ["put", "ключ", "值", "😀"]],
];

for (const [what, line, words] of LINES) {
  test(`${what}: ${line}`, () => assert.equal(splitWords(line), words));
}

for (const line of ['put a "b', "put a 'b", `put a "it's`, 'put a b"', 'a "b\\"']) {
  test(`a quote that is not closed is a mistake: ${line}`, () =>
    assert.throws(
      () => splitWords(line),
      (error: unknown) => hasCode(error, "INVALID_ARGUMENT") && /the quote ["'] is not closed/.test(error.message),
    ));
}

const plain = (text: string): string[] => stripVTControlCharacters(text).split("\n");

test("columns line up", () => {
  const rows = [
    ["key", "value"],
    ["a", "1"],
    ["longer", "2"],
  ];
  assert.equal(plain(table(rows)), ["key     value", "a       1", "longer  2"]);
});

test("columns line up where some cells are coloured and others are not", () => {
  const { red, bold } = new Chalk({ level: 1 });
  const rows = [
    ["node", "role"],
    [red("n1"), bold("leader")],
    ["node-2", "follower"],
  ];
  assert.equal(plain(table(rows)), ["node    role", "n1      leader", "node-2  follower"]);
});

test("a row may be shorter than the others, and no line ends in blanks", () => {
  assert.equal(plain(table([["a", "b", "c"], ["1"], ["", "", "3"]])), ["a  b  c", "1", "      3"]);
});

test.run();
