/** The script language itself: it reads back what it writes, and a script with a mistake fails at its line. */

import * as assert from "uvu/assert";
import { suite } from "../../support/suite.ts";
import { readMessage, textOfMessage } from "./notation.ts";
import { play } from "./play.ts";
import { readScript, stepsOf, writeScript } from "./script.ts";

const test = suite("raft: golden language");

const scriptOf = (...lines: readonly string[]) => readScript("a.txt", `${["# A script", ...lines].join("\n")}\n`);

/** What playing these lines ends with. */
const mistakeIn = (...lines: readonly string[]): string => play(scriptOf(...lines)).failure?.message ?? "nothing";

test("regenerating replaces outcomes and keeps commands, comments and empty lines", () => {
  const script = scriptOf("", "start n1 n2 n3", "", "# Why.", "status n1", "  something else", "status n2");

  assert.equal(
    stepsOf(script).map(({ line, command, outcome }) => [line, command, outcome]),
    [
      [3, "start n1 n2 n3", []],
      [6, "status n1", ["something else"]],
      [8, "status n2", []],
    ],
  );
  const written = writeScript(script, play(script).outcomes);
  assert.is(
    written,
    `# A script

start n1 n2 n3

# Why.
status n1
  n1 follower term=0 vote=- commit=0 log=-
status n2
  n2 follower term=0 vote=- commit=0 log=-
`,
  );
  const again = readScript("a.txt", written);
  assert.is(writeScript(again, play(again).outcomes), written);
});

test("a script is played the same every time", () => {
  const script = scriptOf("start n1 n2 n3", "run 1000ms", "crash n1", "run 1000ms", "restart n1", "run 1000ms");
  assert.equal(play(script), play(script));
  assert.is(play(script).failure, null);
});

test("every message is read back as it is written", () => {
  const lines = [
    "pre-vote-request term=3 last=4:2",
    "vote-request term=3 last=0:0",
    "vote-request term=3 last=4:2 transfer",
    "pre-vote term=3 granted",
    "vote term=3 granted",
    "vote term=3 refused=log-behind",
    "append term=3 prev=0:0 commit=0",
    "append term=3 prev=4:2 commit=5 entries=5:2,6:3",
    "accepted term=3 match=6",
    "rejected term=3 prev=4 conflict=2:1",
    "heartbeat term=3 round=7 commit=5",
    "heartbeat-response term=3 round=7",
    "timeout-now term=3",
    "snapshot-offer term=3 last=8:2",
    "read-request term=3 id=5",
    "read-response term=3 id=5 index=8",
  ];
  for (const line of lines) assert.is(textOfMessage(readMessage(line.split(" "))), line);
});

test("a script that has not the form of one fails with file and line", () => {
  for (const [text, expected] of [
    ["start n1\n", /^a\.txt:1: the first line has to be/],
    ["# A script\n  n1 leads\n", /^a\.txt:2: an outcome has to stand right under its command$/],
    ["# A script\nstart n1\n\n  n1 leads\n", /^a\.txt:4: an outcome has to stand right under its command$/],
    ["# A script\nstart n1 \n", /^a\.txt:2: there are blanks at the end/],
    ["# A script\n start n1\n", /^a\.txt:2: a command starts at the margin/],
  ] as const) {
    assert.throws(() => readScript("a.txt", text), expected);
  }
});

test("a command that can't be played fails with file and line, and says what it takes", () => {
  const start = "start n1 n2 n3";
  const mistakes: readonly (readonly [string, RegExp])[] = [
    ["stand n1", /^a\.txt:3: stand n1: there is no command "stand"$/],
    ["toString n1", /^a\.txt:3: toString n1: there is no command "toString"$/],
    ["quietly", /^a\.txt:3: quietly: there is no command ""$/],
    ["start n1", /^a\.txt:3: start n1: the cluster has started already$/],
    ["disk n1 log=1", /^a\.txt:3: .* the disk of n1 is in use/],
    ["setting heartbeatMs 30", /^a\.txt:3: .* too late/],
    ["timeout n9", /^a\.txt:3: timeout n9: there is no server n9$/],
    ["timeout", /^a\.txt:3: timeout: these are not the words it takes: timeout NODE \(nobody hears /],
    ["timeout n1 n2", /^a\.txt:3: .* these are not the words/],
    ["tick 50", /^a\.txt:3: .* "50" is not a time/],
    ["tick -5ms", /^a\.txt:3: .* "-5" is not a number/],
    ["deliver n1 -> n2", /^a\.txt:3: .* nothing like that waits from n1 to n2$/],
    ["deliver n1 -> n2 0", /^a\.txt:3: .* nothing like that waits/],
    ["deliver n1 n2", /^a\.txt:3: .* these are not the words/],
    ["drop n1 -> n2", /^a\.txt:3: .* nothing like that waits/],
    ["duplicate n1 -> n2", /^a\.txt:3: .* nothing like that waits/],
    ["transfer n1 n9", /^a\.txt:3: .* there is no server n9/],
    ["change n1", /^a\.txt:3: .* these are not the words/],
    ["change n1 crown n2", /^a\.txt:3: .* there is no wish "crown"/],
    ["change n1 add n9", /^a\.txt:3: .* there is no server n9/],
    ["change n1 remove n2 and", /^a\.txt:3: .* these are not the words/],
    ["change n1 prefer n2 much", /^a\.txt:3: .* "much" is not a number/],
    ["read n1", /^a\.txt:3: .* these are not the words/],
    ["read n1 r1 later", /^a\.txt:3: .* "later" does not belong here/],
    ["snapshot n1 keep=all", /^a\.txt:3: .* "all" is not a number/],
    ["draw n1", /^a\.txt:3: .* there is no snapshot that n1 could draw/],
    ["join n1", /^a\.txt:3: .* there is a server n1 already/],
    ["restart n1", /^a\.txt:3: .* n1 is not down/],
    ["persist n1", /^a\.txt:3: .* nothing is on its way to the disk of n1/],
    ["partition n1 n2", /^a\.txt:3: .* these are not the words/],
    ["elect n1 n2", /^a\.txt:3: .* these are not the words/],
    ["message n1 -> n2 vote term=1", /^a\.txt:3: .* a vote is either granted or refused/],
    ["message n1 -> n2 vote term=1 refused=no", /^a\.txt:3: .* nobody refuses a vote because of "no"/],
    ["message n1 -> n2 hello term=1", /^a\.txt:3: .* there is no message "hello"/],
    ["message n1 -> n2 timeout-now", /^a\.txt:3: .* "term" is missing/],
    ["message n1 -> n2 timeout-now term=x", /^a\.txt:3: .* "x" is not a number/],
    ["message n1 -> n2 timeout-now term=1 term=2", /^a\.txt:3: .* "term" is there twice/],
    ["message n1 -> n2 timeout-now term=1 now", /^a\.txt:3: .* "now" does not belong here/],
    ["message n1 -> n2 append term=1 prev=0 commit=0", /^a\.txt:3: .* "0" is not INDEX:TERM/],
    ["message n1 -> n2 append term=1 prev=0:0 commit=0 entries=2:1", /^a\.txt:3: .* entry 2:1 does not follow entry 0/],
  ];
  for (const [command, expected] of mistakes) assert.match(mistakeIn(start, command), expected);
  assert.match(mistakeIn("status"), /^a\.txt:2: status: there is no cluster yet/);
  assert.match(mistakeIn("disk n1 logs=1", start), /^a\.txt:2: .* "logs" does not belong here/);
  assert.match(mistakeIn("disk n9 log=1", start), /^a\.txt:3: .* a disk for n9, who does not start/);
  assert.match(mistakeIn("setting patience 1", start), /^a\.txt:2: .* there is no setting "patience"/);
  assert.match(mistakeIn(start, "crash n1", "crash n1"), /^a\.txt:4: .* n1 is down/);
  assert.match(mistakeIn(start, "elect n1", "timeout n1"), /^a\.txt:4: .* n1 leads already/);
  assert.match(mistakeIn(start, "partition n1 | n2 n3", "elect n1"), /^a\.txt:4: .* n1 was not elected/);
});

test.run();
