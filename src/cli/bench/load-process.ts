/** A load process, as the benchmark sees it. */

import { createInterface } from "node:readline";
import { type Child, ended, send, spawnCommand } from "../child.ts";
import { Failure, failed, interrupted } from "./failure.ts";
import type { Job, News, Order } from "./job.ts";

type NewsOf<Type extends News["type"]> = Extract<News, { readonly type: Type }>;

interface Waiting {
  readonly type: News["type"];
  readonly resolve: (news: News) => void;
  readonly reject: (error: Error) => void;
}

export interface LoadOptions {
  /** So many calls were answered, or clients are connected. */
  readonly onProgress: (done: number) => void;
  /** An answer was wrong, or the process has failed or ended before all was done. */
  readonly onFailure: (error: Error) => void;
}

/** Does a job in a process of its own. */
export class LoadProcess {
  readonly #child: Child;
  readonly #options: LoadOptions;
  /** Told and not asked for yet, oldest first. */
  readonly #told: News[] = [];
  readonly #waiting: Waiting[] = [];
  #failure: Error | null = null;
  /** All is done, or nobody wants it any more: its end is no news. */
  #isEnding = false;
  #isOver = false;
  #errors = "";

  constructor(job: Job, options: LoadOptions) {
    this.#options = options;
    this.#child = spawnCommand("bench-load", [JSON.stringify(job)]);
    createInterface({ input: this.#child.stdout }).on("line", (line) => this.#hear(JSON.parse(line)));
    this.#child.stderr.on("data", (chunk) => {
      this.#errors += String(chunk);
    });
    this.#child.stdin.on("error", () => {}); // It has ended, and says why.
    this.#child.once("error", (error) => this.#fail(error));
    this.#child.once("close", (code, signal) => {
      this.#isOver = true;
      if (this.#isEnding) return;
      const why = `A load process ended early (${signal ?? `code ${code}`}): ${this.#errors || "no word"}`;
      this.#fail(signal === "SIGINT" ? interrupted() : failed(why));
    });
  }

  /** The next news of that type, once there is. @throws Failure if the process fails or ends before */
  async next<Type extends News["type"]>(type: Type): Promise<NewsOf<Type>> {
    const isIt = (news: News): news is NewsOf<Type> => news.type === type;
    const found = this.#told.find(isIt);
    if (found !== undefined) {
      this.#told.splice(this.#told.indexOf(found), 1);
      return found;
    }
    if (this.#failure !== null) throw this.#failure;
    const news = await new Promise<News>((resolve, reject) => this.#waiting.push({ type, resolve, reject }));
    if (isIt(news)) return news;
    throw new TypeError(`${news.type} was told for ${type}`);
  }

  tell(order: Order): void {
    this.#child.stdin.write(`${JSON.stringify(order)}\n`);
  }

  /** Ends it, whatever it is at. */
  async stop(): Promise<void> {
    this.#isEnding = true;
    if (!this.#isOver) await ended(this.#child, () => send(this.#child, "SIGKILL"));
  }

  #hear(news: News): void {
    if (news.type === "progress") this.#options.onProgress(news.done);
    else if (news.type === "failed") this.#fail(new Failure(news.code, news.error));
    else {
      if (news.type === "done") this.#isEnding = true;
      const at = this.#waiting.findIndex(({ type }) => type === news.type);
      if (at === -1) this.#told.push(news);
      else this.#waiting.splice(at, 1)[0]?.resolve(news);
    }
  }

  #fail(error: Error): void {
    // The first one is the one that counts.
    if (this.#failure === null) this.#options.onFailure(error);
    this.#failure ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
  }
}
