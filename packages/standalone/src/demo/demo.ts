/** The demo of `npm start`: a tenant with keys, and the recorded traffic posted through the public collector at a few events per second. */
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import type { Logger } from "@headwater/runtime";
import { z } from "zod";
import { DemoKeys, type NoteBook } from "./notes.ts";
import { isPageView, type RecordedRequest, toVisitorEvent } from "./traffic.ts";

const recording = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../demo/access_semicomplete.jsonl.gz");
const EVENTS_PER_SECOND = 4;

/** Keys of the demo tenants: made once through the operator API, then kept in the data directory so that later starts can show them. */
export async function demoKeys(url: string, adminToken: string, notes: NoteBook): Promise<DemoKeys> {
  const known = DemoKeys.safeParse(notes.read());
  if (known.success) return known.data;
  const create = async (tenant: string, plan: string, scopes: string[], name: string, type: "browser" | "server"): Promise<string> => {
    const answer = await fetch(`${url}/admin/v1/keys`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${adminToken}` },
      body: JSON.stringify({ tenant, plan, scopes, name, type }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`demo key: ${answer.status} ${text}`);
    return z.object({ key: z.string() }).parse(JSON.parse(text)).key;
  };
  const keys: DemoKeys = {
    tenant: "demo",
    readKey: await create("demo", "scale", ["signals:read"], "demo reader", "server"),
    writeKey: await create("demo", "scale", ["events:write"], "demo collector", "browser"),
    freeKey: await create("demo-free", "free", ["events:write", "signals:read"], "demo free plan", "browser"),
  };
  notes.note(keys);
  return keys;
}

/** Replays the recording in a loop until stopped. A refused or failed post is skipped: demo data may be lost, nothing else may. */
export function startDemoTraffic(url: string, writeKey: string, log: Logger): { stop(): Promise<void> } {
  const rows = gunzipSync(fs.readFileSync(recording))
    .toString("utf8")
    .trim()
    .split("\n")
    // Our own file: the shape is in demo/README.md.
    .map((line) => JSON.parse(line) as RecordedRequest)
    .filter(isPageView);
  let next = 0;
  let inFlight: Promise<void> = Promise.resolve();
  const post = async (): Promise<void> => {
    const row = rows[next % rows.length];
    const loop = Math.floor(next / rows.length);
    next++;
    if (!row) return;
    try {
      const answer = await fetch(`${url}/v1/events`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-API-Key": writeKey },
        body: JSON.stringify({ events: [toVisitorEvent(row, loop, Date.now())] }),
        signal: AbortSignal.timeout(5_000),
      });
      await answer.body?.cancel();
      if (!answer.ok) log.debug({ status: answer.status }, "demo.refused");
    } catch (error) {
      log.debug({ err: error }, "demo.failed");
    }
  };
  const timer = setInterval(() => {
    inFlight = inFlight.then(post);
  }, 1000 / EVENTS_PER_SECOND);
  return {
    stop: async () => {
      clearInterval(timer);
      await inFlight;
    },
  };
}
