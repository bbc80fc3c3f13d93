/**
 * `headwater replay <family>`: is the state what the log says? Asks the owner of each lane, one after the other, because a refold is work.
 * Tests: system.int.test.ts (what is told), packages/lanes (the refold itself).
 */
import { callLane, type Nats, RpcError, RpcUnavailable } from "@headwater/messaging";
import { LANE_COUNT } from "@headwater/protocol";
import { oneOf, parse } from "../arguments.ts";
import { duration, json, table } from "../output.ts";
import { isObject } from "../system/run-file.ts";
import { connectNats, findTarget } from "../system/target.ts";
import { CommandFailed, type Terminal, UsageError } from "../terminal.ts";

const FAMILIES = ["visits"] as const;
/** A lane may hold three days of input. */
const LANE_DEADLINE_MS = 30 * 60_000;

interface LaneReplay {
  lane: number;
  /** `incomplete`: the log no longer starts at its beginning, so nothing can be said. */
  verdict: "equal" | "different" | "incomplete";
  /** Input position both states stand at. */
  in: number;
  events: number;
  keys: number;
  liveHash: string;
  foldedHash: string;
  durationMs: number;
}

export async function replayCommand(argv: readonly string[], terminal: Terminal): Promise<number> {
  const args = parse(argv, { lane: { type: "string" } }, { min: 1, max: 1 });
  const family = oneOf(args.positionals[0] ?? "", FAMILIES, "family");
  const lanes = lanesOf(args.text("lane"));
  const nats = await connectNats(findTarget(args.port, terminal), "admin");
  try {
    const rows: LaneReplay[] = [];
    for (const lane of lanes) {
      if (terminal.stop.aborted) break;
      rows.push(await replayLane(nats, family, lane));
      if (!args.json) terminal.err(`\r${rows.length} of ${lanes.length} lanes`);
    }
    if (!args.json) terminal.err("\n");
    const different = rows.some((row) => row.verdict === "different");
    await terminal.out(args.json ? json({ ok: !different, family, lanes: rows }) : human(rows));
    return different || rows.length < lanes.length ? 1 : 0;
  } finally {
    await nats.drain();
  }
}

async function replayLane(nats: Nats, family: (typeof FAMILIES)[number], lane: number): Promise<LaneReplay> {
  let answer: unknown;
  try {
    answer = await callLane(nats, family, lane, "verify", {}, { deadlineMs: LANE_DEADLINE_MS });
  } catch (error) {
    if (error instanceof RpcError || error instanceof RpcUnavailable) {
      throw new CommandFailed(`lane ${lane} of ${family}: ${error.message}`, { cause: error });
    }
    throw error;
  }
  const live = isObject(answer) && isObject(answer["live"]) ? answer["live"] : {};
  const folded = isObject(answer) && isObject(answer["folded"]) ? answer["folded"] : {};
  const number = (value: unknown): number => (typeof value === "number" ? value : 0);
  const [liveHash, foldedHash] = [String(live["hash"]), String(folded["hash"])];
  return {
    lane,
    verdict: folded["isComplete"] !== true ? "incomplete" : liveHash === foldedHash ? "equal" : "different",
    in: number(folded["in"]),
    events: number(folded["events"]),
    keys: number(folded["keys"]),
    liveHash,
    foldedHash,
    durationMs: number(folded["durationMs"]),
  };
}

function lanesOf(text: string | undefined): number[] {
  if (text === undefined) return Array.from({ length: LANE_COUNT }, (_, lane) => lane);
  const lane = Number(text);
  if (!/^\d+$/.test(text) || lane >= LANE_COUNT) throw new UsageError(`--lane ${text}: 0 to ${LANE_COUNT - 1}`);
  return [lane];
}

function human(rows: readonly LaneReplay[]): string {
  return table(rows, [
    { title: "LANE", value: (row) => String(row.lane), align: "right" },
    { title: "STATE", value: (row) => (row.verdict === "incomplete" ? "log begins later, nothing to compare" : row.verdict) },
    { title: "INPUT", value: (row) => String(row.in), align: "right" },
    { title: "EVENTS", value: (row) => String(row.events), align: "right" },
    { title: "KEYS", value: (row) => String(row.keys), align: "right" },
    { title: "HASH", value: (row) => row.foldedHash.slice(0, 16) },
    { title: "TOOK", value: (row) => duration(row.durationMs), align: "right" },
  ]);
}
