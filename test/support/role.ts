/**
 * Generators, sinks and tiny servers of a run are processes of their own ("roles"), so that their work is not measured as the product's.
 * A role file calls `serveRole`; the orchestrator calls `startRole(file)` and then `ask(verb, payload)`. Requests are numbered over IPC.
 * A role ends with its parent.
 */
import { type ChildProcess, fork } from "node:child_process";
import fs from "node:fs";

const FIRST = "first";

interface Request {
  id: number;
  verb: string;
  payload: unknown;
}
interface Answer {
  id: number;
  result?: unknown;
  error?: string;
}

export interface Role {
  readonly name: string;
  readonly pid: number;
  /** Rejects with the role's error text, or when the process ends first. The cast to T is the caller's knowledge of its own role file. */
  ask<T>(verb: string, payload?: unknown): Promise<T>;
  /** Ends the process and waits for its exit. */
  stop(): Promise<void>;
}

export async function startRole(name: string, file: string | URL, options: { execArgv?: string[]; isFirst?: boolean } = {}): Promise<Role> {
  const isFirst = options.isFirst === true;
  const child: ChildProcess = fork(file, isFirst ? [FIRST] : [], {
    execArgv: options.execArgv ?? [],
    serialization: "advanced",
    // A session of its own, and with it a group of its own.
    detached: isFirst,
  });
  let next = 1;
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  child.on("message", (message) => {
    // Only serveRole of this file writes to this channel.
    const answer = message as Answer;
    const entry = waiting.get(answer.id);
    waiting.delete(answer.id);
    if (answer.error === undefined) entry?.resolve(answer.result as never);
    else entry?.reject(new Error(`${name}: ${answer.error}`));
  });
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.once("exit", (code, signal) => {
    for (const entry of waiting.values()) entry.reject(new Error(`${name} ended (${signal ?? code})`));
    waiting.clear();
  });
  const ask = <T>(verb: string, payload?: unknown): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      if (!child.connected) return reject(new Error(`${name} is not running`));
      const id = next++;
      waiting.set(id, { resolve, reject });
      child.send({ id, verb, payload } satisfies Request);
    });
  await ask("__ready");
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${name} has no pid`);
  return {
    name,
    pid,
    ask,
    stop: () => {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      return gone;
    },
  };
}

export type Verbs = Record<string, (payload: never) => unknown>;

/**
 * For generators and sinks of latency runs, started with `isFirst`: on a busy box the clock must not be what waits. Sessions share the
 * processor as groups, so the group of this process is what is raised. Only root may; for others the run says itself when it was late.
 */
function goFirst(): void {
  const group = "/proc/self/autogroup";
  if (process.getuid?.() === 0 && fs.existsSync(group)) fs.writeFileSync(group, "-15");
}

/** Call once at the top level of a role file. */
export function serveRole(verbs: Verbs): void {
  if (process.argv.includes(FIRST)) goFirst();
  process.on("message", (message) => {
    // Only startRole of this file writes to this channel.
    const request = message as Request;
    void answer(request, verbs).then((reply) => process.send?.(reply));
  });
  process.once("disconnect", () => process.exit(0));
}

async function answer(request: Request, verbs: Verbs): Promise<Answer> {
  if (request.verb === "__ready") return { id: request.id };
  const verb = verbs[request.verb];
  if (!verb) return { id: request.id, error: `no verb ${request.verb}` };
  try {
    return { id: request.id, result: await verb(request.payload as never) };
  } catch (error) {
    return { id: request.id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}
