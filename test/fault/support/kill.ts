/** Signals for processes of the system under test, by the pids its supervisor wrote down. Linux only. */
import fs from "node:fs";
import { nowUs } from "../../support/monotonic.ts";
import type { Product } from "../../support/product.ts";

/** SIGKILL. @returns µs of the kill. @throws Error when there is no such process: a fault that did not happen proves nothing. */
export function killNow(product: Product, name: string): { pid: number; atUs: number } {
  const pid = product.pids().get(name);
  if (pid === undefined) throw new Error(`${name} is not running`);
  // PostgreSQL's backends lead sessions of their own, so the process group is not enough.
  const family = descendants(pid);
  process.kill(pid, "SIGKILL");
  for (const one of family) killIfThere(one);
  return { pid, atUs: nowUs() };
}

/** Until the supervisor has started another process under that name. */
export async function replaced(product: Product, name: string, oldPid: number, withinMs: number): Promise<number> {
  const deadline = nowUs() + withinMs * 1000;
  for (;;) {
    const pid = product.pids().get(name);
    if (pid !== undefined && pid !== oldPid) return pid;
    if (nowUs() > deadline) throw new Error(`${name} was not restarted within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A backend may end by itself, between two looks or because the server it belongs to is gone. */
function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function descendants(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of fs.readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    let stat: string;
    try {
      stat = fs.readFileSync(`/proc/${entry}/stat`, "utf8");
    } catch (error) {
      if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) continue;
      throw error;
    }
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
  }
  const found: number[] = [];
  const visit = (parent: number): void => {
    for (const child of children.get(parent) ?? []) {
      found.push(child);
      visit(child);
    }
  };
  visit(pid);
  return found;
}
