/** What a process takes of the machine: from /proc where there is one, else from `ps`. */

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

export interface Usage {
  /** Processor time since it started, its own and the system's for it. */
  readonly cpuMs: number;
  readonly residentBytes: number;
}

/** Linux tells times in hundredths of a second, whatever the kernel's own clock (USER_HZ). */
const TICK_MS = 10;
const KIB = 1_024;

/** @throws Error if there is no such process */
export async function usageOf(pid: number): Promise<Usage> {
  if (process.platform === "linux") {
    const [stat, status] = await Promise.all(
      ["stat", "status"].map((file) => readFile(`/proc/${pid}/${file}`, "utf8")),
    );
    return linuxUsage(stat ?? "", status ?? "");
  }
  const { stdout } = await promisify(execFile)("ps", ["-o", "time=,rss=", "-p", String(pid)]);
  return psUsage(stdout);
}

/** Of /proc/PID/stat and /proc/PID/status. */
export function linuxUsage(stat: string, status: string): Usage {
  // The name, in parentheses, may hold anything; what follows are numbers, after the letter of the state.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [userTicks, systemTicks] = [Number(fields[11]), Number(fields[12])];
  const residentKiB = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]);
  return { cpuMs: (userTicks + systemTicks) * TICK_MS, residentBytes: residentKiB * KIB };
}

/** Of `ps -o time=,rss=`: `[[DD-]HH:]MM:SS[.CC] KIB`. */
export function psUsage(text: string): Usage {
  const [time = "", residentKiB = ""] = text.trim().split(/\s+/);
  const [clock = "", days = "0"] = time.split("-").reverse();
  const seconds = clock.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
  return { cpuMs: (Number(days) * 86_400 + seconds) * 1_000, residentBytes: Number(residentKiB) * KIB };
}
