/** Group commit over a server that is killed and paused under load: what was acknowledged is stored once, in order; the rest is refused, never lost in silence. */
import { quietLogger, startNats, type TestNats, until } from "@headwater/testkit";
import { DiscardPolicy, StorageType } from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type Nats, openNats } from "./connection.ts";
import { AppendError, createGroupCommit, type GroupCommitOptions } from "./group-commit.ts";
import { openReader } from "./reader.ts";
import { ensureStream } from "./streams.ts";

const LANES = 4;
const log = quietLogger();
let server: TestNats;
let nats: Nats;
beforeEach(async () => {
  server = await startNats();
  nats = await openNats({ url: server.url, name: "test", log });
  for (let lane = 0; lane < LANES; lane++) {
    const tiny = lane === LANES - 1 ? { max_bytes: 20_000, discard: DiscardPolicy.New } : {};
    await ensureStream(nats, {
      name: `L_${lane}`,
      subjects: [`l.${lane}`],
      storage: StorageType.File,
      duplicate_window: nanos(120_000),
      ...tiny,
    });
  }
});
afterEach(async () => {
  await nats.drain();
  await server.stop();
});

const open = (options: Partial<GroupCommitOptions> = {}) =>
  createGroupCommit(nats, {
    subjectOf: (lane) => `l.${lane}`,
    lanes: LANES,
    maxEvents: 64,
    maxBytes: 16_384,
    deadlineMs: 20_000,
    attemptTimeoutMs: 500,
    log,
    ...options,
  });

/** Every line stored in a lane, in order. */
async function storedIn(lane: number): Promise<string[]> {
  const lines: string[] = [];
  const decoder = new TextDecoder();
  const reader = openReader(nats, {
    stream: `L_${lane}`,
    from: "all",
    onMessage: (msg) => void lines.push(...decoder.decode(msg.data).split("\n")),
  });
  await reader.caughtUp;
  await reader.stop();
  return lines;
}

/** Appends lines `<lane>-<n>` to three lanes with a bounded number open until `stop`; remembers what was acknowledged. */
function load(commit: ReturnType<typeof open>): { acked: string[][]; count(): number; stop(): Promise<void> } {
  const acked: string[][] = [[], [], []];
  let isOn = true;
  const lane = async (index: number): Promise<void> => {
    for (let n = 0; isOn; n += 8) {
      const lines = Array.from({ length: 8 }, (_, i) => `${index}-${n + i}`);
      await Promise.all(lines.map((line) => commit.append(index, line)));
      acked[index]?.push(...lines);
    }
  };
  const lanes = [lane(0), lane(1), lane(2)];
  return {
    acked,
    count: () => acked.reduce((sum, lines) => sum + lines.length, 0),
    async stop() {
      isOn = false;
      await Promise.all(lanes);
    },
  };
}

it("a killed server loses nothing that was acknowledged and stores nothing twice", async () => {
  const commit = open();
  const running = load(commit);
  for (let kill = 1; kill <= 3; kill++) {
    const before = running.count();
    await until("some progress", () => running.count() > before + 200);
    const pid = server.pid();
    server.kill();
    await until("another server", () => serverPid() !== undefined && serverPid() !== pid);
    await until("progress after the kill", () => running.count() > before + 600, 20_000);
  }
  await running.stop();
  await commit.close();
  for (const [lane, lines] of running.acked.entries()) expect(await storedIn(lane)).toEqual(lines);
  expect(commit.stats()).toMatchObject({ failures: 0, pendingBytes: 0 });
}, 60_000);

it("a server that is silent for longer than an attempt stores each event once", async () => {
  const commit = open();
  const running = load(commit);
  await until("some progress", () => running.count() > 200);
  await server.pause();
  await until("attempts have timed out", () => commit.stats().retries >= 3);
  server.resume();
  const before = running.count();
  await until("progress after the pause", () => running.count() > before + 200);
  await running.stop();
  await commit.close();
  expect(commit.stats().duplicates).toBeGreaterThan(0);
  for (const [lane, lines] of running.acked.entries()) expect(await storedIn(lane)).toEqual(lines);
}, 60_000);

it("a full lane refuses loudly and disturbs no other lane", async () => {
  const commit = open({ maxEvents: 4 });
  const line = "x".repeat(1_000);
  const outcomes = await Promise.all(
    Array.from({ length: 60 }, (_, n) =>
      commit.append(LANES - 1, `${n}:${line}`).then(
        () => "stored",
        (error: unknown) => (error instanceof AppendError ? error.code : "?"),
      ),
    ),
  );
  expect(new Set(outcomes)).toEqual(new Set(["stored", "full"]));
  expect(await storedIn(LANES - 1)).toHaveLength(outcomes.filter((outcome) => outcome === "stored").length);
  await expect(commit.append(0, "a")).resolves.toEqual({ seq: 1 });
  await commit.close();
});

it("while the server is gone appends wait up to their deadline, then are refused; admission says down", async () => {
  const commit = open({ deadlineMs: 300 });
  await server.pause();
  const before = performance.now();
  await expect(commit.append(0, "a")).rejects.toMatchObject({ code: "unavailable" });
  expect(performance.now() - before).toBeGreaterThanOrEqual(250);
  server.kill();
  await until("seen as down", () => commit.admit(1) === "down");
  await until("up again", () => commit.admit(1) === "ok");
  await until("takes events", () =>
    commit.append(0, "b").then(
      () => true,
      () => false,
    ),
  );
  await commit.close();
});

function serverPid(): number | undefined {
  try {
    return server.pid();
  } catch {
    return undefined; // between two lives
  }
}
