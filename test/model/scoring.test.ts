/**
 * The scoring service against the obvious model of it (I4): random visitor logs on real NATS and PostgreSQL, folded by a real process that
 * is stopped, killed and short of memory while its settings change, must give exactly the lines that one sequential fold in memory gives.
 * Seed: MODEL_SEED.
 */
import path from "node:path";
import { type Child, startChild } from "@headwater/embedded";
import {
  callLane,
  callService,
  createPublisher,
  ensureStreams,
  type Nats,
  openNats,
  openReader,
  type Publisher,
  streamState,
} from "@headwater/messaging";
import {
  decodeFrameHeader,
  frameLineRanges,
  inputStreamName,
  LANE_COUNT,
  type RegistryRecord,
  type SiteRecord,
  SiteSettings,
  streamSpecs,
  subjects,
  visitorKey,
} from "@headwater/protocol";
import { compileSiteScoring, foldVisit, newVisitorState, openCatalog, type VisitorState } from "@headwater/scoring/model";
import { createDatabase, quietLogger, startNats, type TestNats, until } from "@headwater/testkit";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { seededRandom } from "../fault/support/random.ts";
import { createVisits, type Line } from "./support/visits.ts";

const SEED = Number(process.env["MODEL_SEED"] ?? Date.now() % 1_000_000);
const STEPS = 100;
const LANES = [3, 11];
const VISITORS = 240;
/** The least the service can be given; the visitors of a lane need more. */
const STATE_BYTES = 1_048_576;
const SECRET = "model-secret-model-secret-model-secret";
const log = quietLogger();

let server: TestNats;
let database: Awaited<ReturnType<typeof createDatabase>>;
let nats: Nats;
let publisher: Publisher;
let scoring: Child;
beforeAll(async () => {
  [server, database] = await Promise.all([startNats(), createDatabase(inject("databaseUrl"), "model")]);
  nats = await openNats({ url: server.url, name: "model", log });
  publisher = createPublisher(nats);
  await ensureStreams(nats, streamSpecs("laptop"), { replicas: 1 });
  scoring = await startChild({
    name: "scoring",
    command: process.execPath,
    args: [path.resolve(import.meta.dirname, "../../services/scoring/src/main.ts")],
    ipc: true,
    env: {
      PATH: process.env["PATH"],
      LOG_LEVEL: "silent",
      NATS_URL: server.url,
      DATABASE_URL: database.url,
      HEADWATER_INSTANCE: "scoring-0",
      HEADWATER_PROFILE: "laptop",
      SCORING_STATE_BYTES: String(STATE_BYTES),
      SCORING_SNAPSHOT_INTERVAL_MS: "100",
      KEY_PEPPER: SECRET,
      CURSOR_KEY: SECRET,
      PRIVACY_KEY: SECRET,
      HEADWATER_ADMIN_TOKEN: SECRET,
      JWT_SECRET: SECRET,
      ENCRYPTION_KEY: SECRET,
    },
    readyWithinMs: 30_000,
    stopSignal: "SIGTERM",
    stopWithinMs: 15_000,
    restartDelayMs: () => 0,
  });
});
afterAll(async () => {
  await scoring.stop();
  publisher.close();
  await nats.drain();
  await server.stop();
  await database.drop();
});

interface LaneStatus {
  lane: number;
  state: string;
  in: number;
  keys: number;
}

/** Waits until the lanes have folded everything that is in their logs. */
async function settled(): Promise<LaneStatus[]> {
  let mine: LaneStatus[] = [];
  await until(
    "everything is folded",
    async () => {
      const answer = await callService(nats, "scoring", "status", {}).catch(() => undefined);
      // Answered by scoring's own status; a wrong shape fails the test, as it should.
      mine = ((answer as { lanes: LaneStatus[] } | undefined)?.lanes ?? []).filter(({ lane }) => LANES.includes(lane));
      const ends = await Promise.all(mine.map(({ lane }) => streamState(nats, inputStreamName("visits", lane))));
      return mine.length === LANES.length && mine.every((lane, i) => lane.state === "live" && lane.in === ends[i]?.lastSeq);
    },
    40_000,
  );
  return mine;
}

/** Writes the settings of one site. @returns its REGISTRY position. */
async function configure(scoring: SiteSettings["scoring"]): Promise<number> {
  const site: SiteRecord = {
    id: "site_tuned",
    tenantId: "ten_0",
    name: "tuned",
    domains: ["*"],
    settings: SiteSettings.parse({ scoring }),
    createdAt: "2026-01-01T00:00:00.000Z",
  };
  const record: RegistryRecord = { v: 1, type: "site.changed", aggregate: "site", id: site.id, at: site.createdAt, data: site };
  return (await publisher.publish(subjects.registry("site", site.id), JSON.stringify(record))).seq;
}

interface Output {
  reg: number;
  tenantId: string;
  wire: string;
  ext: Record<string, unknown>;
}

/** Everything the service has published, by lane, in order. */
async function published(): Promise<Output[][]> {
  const lanes: Output[][] = Array.from({ length: LANE_COUNT }, () => []);
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const reader = openReader(nats, {
    stream: "SIGNALS",
    from: "all",
    onMessage: ({ subject, data }) => {
      const frame = decodeFrameHeader(data);
      if (!frame.ok) throw new Error(frame.reason);
      const ranges = frameLineRanges(frame.body, frame.header.n);
      const line = (i: number): string => decoder.decode(frame.body.subarray(ranges[i * 2], ranges[i * 2 + 1]));
      for (let i = 0; i < frame.header.n; i++) {
        const { k, ...ext } = JSON.parse(line(i * 2 + 1)) as Record<string, unknown> & { k: number };
        lanes[Number(subject.split(".")[1])]?.push({ reg: frame.header.reg, tenantId: frame.header.keys[k] ?? "", wire: line(i * 2), ext });
      }
    },
  });
  await reader.caughtUp;
  await reader.stop();
  return lanes;
}

/** The obvious model: one fold per lane, everything in memory, nothing ever restarted. `regOf(i)` is the position that output i names. */
function model(
  lines: readonly Line[],
  regOf: (i: number) => number | undefined,
  settingsAt: (reg: number) => SiteSettings["scoring"],
): Omit<Output, "reg">[] {
  const catalog = openCatalog();
  const states = new Map<string, VisitorState>();
  const gone = new Set<string>();
  const outputs: Omit<Output, "reg">[] = [];
  for (const { input } of lines) {
    if (!input) continue;
    const key = visitorKey(input.tenantId, input.visitorId);
    if (input.kind !== "visit") {
      states.delete(key);
      if (input.kind === "optout") gone.add(key);
      else gone.delete(key);
      continue;
    }
    if (gone.has(key)) continue;
    const state = states.get(key) ?? newVisitorState();
    states.set(key, state);
    const settings = input.siteId === "site_tuned" ? settingsAt(regOf(outputs.length) ?? 0) : undefined;
    const result = foldVisit(state, input, compileSiteScoring(settings), catalog);
    if (typeof result === "string") continue;
    const { k: _k, ...ext } = JSON.parse(JSON.stringify(result.ext)) as Record<string, unknown>;
    outputs.push({ tenantId: input.tenantId, wire: result.wire, ext });
  }
  return outputs;
}

it(`labels like one sequential fold (seed ${SEED})`, async () => {
  const random = seededRandom(SEED);
  const next = createVisits(random, VISITORS, LANES);
  const settings = new Map<number, SiteSettings["scoring"]>([[0, undefined]]);
  const settingsAt = (reg: number): SiteSettings["scoring"] => settings.get(Math.max(...[...settings.keys()].filter((seq) => seq <= reg)));
  const logs = new Map<number, Line[]>(LANES.map((lane) => [lane, []]));
  let ends = 0;

  for (let step = 0; step < STEPS; step++) {
    const what = random();
    // Some faults hit a busy lane, some one that has just written its snapshot.
    if (what < 0.05) await settled();
    else if (what < 0.12) {
      const restarts = scoring.restarts;
      process.kill(scoring.pid ?? 0, random() < 0.7 ? "SIGKILL" : "SIGTERM");
      ends++;
      await until("another process", () => scoring.restarts > restarts && scoring.state === "ready", 30_000);
    } else if (what < 0.2) {
      const changed = { rage: { clicks: 2 + Math.floor(random() * 4) }, calibration: { intent: 1 + random() * 4 } };
      settings.set(await configure(changed), changed);
    } else {
      // One message per lane, as a group commit would write them.
      const lines = Array.from({ length: 60 }, next);
      for (const lane of LANES) {
        const mine = lines.filter((line) => line.lane === lane);
        if (mine.length === 0) continue;
        await publisher.publish(subjects.lane("visits", lane), mine.map(({ text }) => text).join("\n"));
        logs.get(lane)?.push(...mine);
      }
    }
  }
  await settled();

  const outputs = await published();
  for (const [lane, lines] of logs) {
    const got = outputs[lane] ?? [];
    const wanted = model(lines, (i) => got[i]?.reg, settingsAt);
    expect(
      got.map(({ reg: _reg, ...output }) => output),
      `lane ${lane}`,
    ).toEqual(wanted);
    // And the states behind them are those of a fold from zero.
    expect(await callLane(nats, "visits", lane, "verify", {}, { deadlineMs: 20_000 }), `lane ${lane}`).toMatchObject({ isEqual: true });
  }
  // Enough of everything happened for the comparison to mean something: outputs, ends, and visitors that did not fit into memory.
  expect(outputs.flat().length).toBeGreaterThan(2_000);
  expect(ends).toBeGreaterThan(0);
  await until("visitors that did not fit are cold", async () => (await settled()).reduce((sum, { keys }) => sum + keys, 0) < VISITORS);
}, 180_000);
