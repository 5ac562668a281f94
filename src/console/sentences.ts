/** The story of a cluster, in sentences. */

import { colourOf, colours } from "./colours.ts";
import { sizeText } from "./show.ts";
import type { Story } from "./story.ts";

const name = (id: string): string => colourOf(id)(id);
const bad = (text: string): string => colours.red(text);
const good = (text: string): string => colours.green(text);
const dim = (text: string): string => colours.dim(text);
const names = (ids: readonly string[]): string => ids.map(name).join(", ");

const PRE_VOTE_REASONS = {
  "timer-ran-out": "the election timer ran out",
  "leader-link-lost": "the link to the leader is lost",
  "vote-split": "the vote was split",
} as const;

const REFUSALS = {
  "leader-is-alive": "the leader is alive",
  "voted-for-another": "the vote went to another",
  "log-behind": "the candidate's log is behind",
  "term-behind": "the candidate's term is behind",
} as const;

const STEP_DOWNS = {
  "higher-term": "a higher term was seen",
  "quorum-lost": "a majority can't be reached",
  transferred: "leadership was handed over",
  removed: "it is no member any more",
} as const;

const ROLES = {
  voter: "",
  learner: " (learner)",
  incoming: " (becomes a voter)",
  demoting: " (becomes a learner)",
  leaving: " (leaves)",
} as const;

/** Loud, since nothing can take it back, and in full, since somebody has to tell others what it means. */
function begunAnew(story: Extract<Story, { event: "begun-anew" }>): string {
  const { others, lastIndex, lastTerm, commitIndex, divergedAt } = story;
  const rest = others.join(", ");
  const sentences = [
    colours.bold("BEGAN A NEW CLUSTER OF THIS NODE ALONE"),
    `, from its log, which ended with entry ${lastIndex} of term ${lastTerm}.`,
    " Whatever was acknowledged after that, or was never sent here, is LOST.",
    lastIndex === commitIndex
      ? ""
      : ` Whether what follows entry ${commitIndex} was committed is not known: now it is.`,
    divergedAt === null
      ? ""
      : ` At entry ${divergedAt} it held another state than the majority: look through what there is.`,
    rest === ""
      ? ""
      : ` Never start ${rest} with their old data again: empty their folders, and start them with --join.`,
  ];
  return sentences.join("");
}

/** One line, without the time and without who tells it. */
export function sentence(story: Story): string {
  switch (story.event) {
    case "listening":
      return dim(`listening on ${story.url}`);
    case "recovered": {
      const torn = story.tornBytes > 0 ? bad(`, ${story.tornBytes} bytes of a torn write were cut off`) : "";
      if (story.lastIndex === 0 && story.term === 0) return `starts with an empty log${torn}`;
      const { lastIndex, term, commitIndex, snapshotIndex } = story;
      const entries =
        snapshotIndex === 0 ? `${lastIndex} entries` : `a snapshot to entry ${snapshotIndex}, the log to ${lastIndex}`;
      return `recovered ${entries}, term ${term}, committed up to ${commitIndex}${torn}`;
    }
    case "begun-anew":
      return bad(begunAnew(story));
    case "link-up":
      return dim(`link to ${story.peer} is up`);
    case "link-lost":
      return `link to ${name(story.peer)} is ${bad("lost")} ${dim(`(${story.reason})`)}`;
    case "link-refused":
      return `link with ${story.peer} was ${bad("refused")}: ${story.reason}`;
    case "protocol-broken":
      return `${story.peer} was ${bad("cut off")}: ${story.reason} ${dim(`(${story.code})`)}`;
    case "message-refused":
      return `a message from ${name(story.from)} was ${bad("refused")}: ${story.reason}`;
    case "handler-failed":
      return bad(
        `the actor "${story.actor}" failed${story.count > 1 ? `, ${story.count} times by now` : ""}: ${story.error}`,
      );
    case "mailbox-full":
      return bad(`the mailbox of "${story.actor}" is full, ${story.refused} messages were refused`);
    case "machine-failed":
      return bad(`the state machine failed at entry ${story.index}: ${story.error}`);
    case "activation-failed":
      return bad(`version ${story.version} of machine ${story.name} can't be brought into use: ${story.reason}`);
    case "pre-vote":
      return `${PRE_VOTE_REASONS[story.reason]}: asks for pre-votes for term ${story.term + 1}`;
    case "candidate":
      return `${colours.bold("candidate")} in term ${story.term}${story.transfer ? ", at the leader's request" : ""}`;
    case "vote-sent": {
      const what = `${story.preVote ? "pre-vote" : "vote"} for ${name(story.to)} in term ${story.term}`;
      return story.refusal === null
        ? `${good("grants")} a ${what}`
        : `${bad("refuses")} a ${what}: ${REFUSALS[story.refusal]}`;
    }
    case "vote-received": {
      const what = `${story.preVote ? "pre-vote" : "vote"} of ${name(story.from)}`;
      return story.refusal === null
        ? `${good("has")} the ${what}`
        : `does ${bad("not")} have the ${what}: ${REFUSALS[story.refusal]}`;
    }
    case "leader-elected":
      return colours.bold(`★ leader of term ${story.term}, with the votes of ${names(story.votes)}`);
    case "stepped-down":
      return `${bad("steps down")} in term ${story.term}: ${STEP_DOWNS[story.reason]}`;
    case "following":
      return `follows ${name(story.leader)} in term ${story.term}`;
    case "follower-caught-up":
      return `${name(story.follower)} has caught up, to entry ${story.index}`;
    case "quorum-lost":
      return bad(`quorum lost: only ${story.reachable.join(", ")} can be reached`);
    case "quorum-regained":
      return good("quorum regained");
    case "transfer-started":
      return `hands leadership over to ${name(story.to)}`;
    case "transfer-failed":
      return `could not hand leadership over${story.to === null ? "" : ` to ${name(story.to)}`}`;
    case "configuration": {
      const members = story.configuration.members.map(({ id, role }) => `${name(id)}${ROLES[role]}`).join(", ");
      return story.committed ? `the members are ${members}` : dim(`the members are to be ${members}`);
    }
    case "configuration-rolled-back":
      return `the change of the members in entry ${story.index} ${bad("did not come to pass")}`;
    case "snapshot-offered":
      return `offers ${name(story.to)} a snapshot to entry ${story.index}`;
    case "snapshot-drawn":
      return `draws a snapshot to entry ${story.index} from ${name(story.from)}${story.resumedAt > 0 ? `, from byte ${story.resumedAt} on` : ""}`;
    case "snapshot-interrupted":
      return `has ${bad("not")} got the snapshot to entry ${story.index} from ${name(story.from)}: ${story.reason}`;
    case "snapshot-installed":
      return `goes on from a snapshot to entry ${story.index}`;
    case "snapshot-damaged":
      return bad(`the snapshot to entry ${story.index} is damaged: ${story.reason}`);
    case "snapshot-taken":
      return dim(
        `took a snapshot to entry ${story.index}, ${sizeText(story.bytes)} in ${(story.tookMs / 1000).toFixed(2)} s`,
      );
    case "snapshot-failed":
      return bad(`could not take a snapshot: ${story.reason}`);
    case "compacted":
      return dim(`let go of the log to entry ${story.through}: ${sizeText(story.logBytes)} are left`);
    case "states-agree":
      return dim(`at entry ${story.index} ${story.nodes.join(" and ")} have the same state`);
    case "states-differ": {
      const groups = story.groups.map((group) => group.join(" and ")).join(" from ");
      return bad(
        `${colours.bold("THE STATES DIFFER")} at entry ${story.index}, that of ${groups}, and none is a majority's: somebody has to find out which is right`,
      );
    }
    case "comparison-failed":
      return bad(`could not look through its state at entry ${story.index}: ${story.reason}`);
    case "diverged": {
      const { index, others } = story;
      const whose = others.length === 0 ? "the majority" : others.join(" and ");
      return bad(
        `${colours.bold("HAS DIVERGED")}: its state at entry ${index} is another than that of ${whose}. It answers nothing until it has theirs. Its program has a bug that parts replicas, or its memory is broken`,
      );
    }
    case "repair-delayed":
      return bad(`has not got the state of another node yet: ${story.reason}`);
    case "state-replaced":
      return `goes on from the state of ${name(story.from)} at entry ${story.index}, in place of its own`;
    case "repaired":
      return good(`has the state of another node, from entry ${story.index} on, and answers again`);
    case "agrees-again":
      return good(`has the state of the majority again, at entry ${story.index}, and answers again`);
    case "joining":
      return `asks ${story.through} to be taken in`;
    case "join-refused":
      return `was ${bad("not")} taken in by ${story.by}: ${story.reason}`;
    case "unrecognized":
      return bad(`is not who ${story.by} knows by its name: it has to be taken in anew`);
    case "removed":
      return bad("is no member any more, and stops for good");
    case "disk-full":
      return bad("the disk is full: nothing is written until there is room again");
    case "disk-has-room":
      return good("the disk has room again");
    case "registered":
      return dim(`registered with the directory at ${story.directory}`);
    case "claim-refused":
      return `the directory at ${story.directory} ${bad("refused")} the claim: ${story.reason}`;
    case "member-registered":
      return dim(`${story.name} is at ${story.url}`);
    case "member-gone":
      return `${name(story.name)} is gone`;
    case "leader-announced":
      return `announces ${name(story.leader)} as leader of term ${story.term}`;
    case "leader-resigned":
      return `${name(story.leader)} no longer leads term ${story.term}`;
    case "newcomer":
      return `has an empty disk, and waits until ${names(story.waitsFor)} have all taken note of it`;
    case "admitted":
      return dim("is known to every other node, and takes part from now on");
    case "stalled": {
      const often = story.count > 1 ? `, the longest of ${story.count} times` : "";
      return bad(`was held up for ${story.lagMs} ms${often}: its event loop did nothing else meanwhile`);
    }
    case "sessions-expired":
      return dim(`${story.count} idle sessions have ended`);
    case "child-started":
      return dim(`${story.child} started, process ${story.pid}`);
    case "child-exited":
      return story.expected ? dim(`${story.child} ${story.how}`) : bad(`${story.child} ${story.how}`);
    case "failed":
      return bad(`${story.error} [${story.code}]`);
    case "stopping":
      return dim("stopping");
    case "stopped":
      return dim("stopped");
  }
}
