/** What the running system says: health, instances, lanes, and how long each stream's bytes last. Tests: commands/system.int.test.ts. */
import { discoverServices, type Nats } from "@headwater/messaging";
import { LANE_COUNT, SERVICES } from "@headwater/protocol";
import { everyInstance, laneOwners } from "../system/instances.ts";
import { readHealth } from "../system/health.ts";
import { type Headroom, headroomOf, readStreams } from "../system/streams.ts";
import type { Target } from "../system/target.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";

/** Below this many hours until a stream refuses writes, somebody should act. */
const FEW_HOURS = 2;
const MUCH_USED = 0.9;
const MUCH_LAG = 10_000;

export async function checkServices(nats: Nats, target: Target): Promise<Finding[]> {
  const [found, health] = await Promise.all([discoverServices(nats), readHealth(target)]);
  const instances = everyInstance(found, health, Date.now());
  const findings = SERVICES.map((service): Finding => {
    const mine = instances.filter((instance) => instance.service === service);
    const bad = mine.filter((instance) => instance.state !== "up");
    if (mine.length === 0) return fail(service, "no instance answers", "its log says why");
    const detail = mine.map((instance) => `${instance.instance} ${[instance.state, ...instance.problems].join(" ")}`).join(", ");
    if (bad.length === 0) return ok(service, detail);
    return mine.every((instance) => instance.state === "down") ? fail(service, detail) : warn(service, detail);
  });
  const lanes = laneOwners(instances);
  const owned = new Set(lanes.filter((lane) => lane.state === "live").map((lane) => `${lane.family}.${lane.lane}`));
  const lag = lanes.reduce((sum, lane) => sum + lane.lag, 0);
  if (owned.size < LANE_COUNT) findings.push(fail("lanes", `${owned.size} of ${LANE_COUNT} lanes are folded`, "is scoring running?"));
  else if (lag > MUCH_LAG) findings.push(warn("lanes", `${lag} input messages are not folded yet`, "start another instance of scoring"));
  else findings.push(ok("lanes", `${owned.size} of ${LANE_COUNT} lanes are folded, ${lag} input messages behind`));
  return findings;
}

/** Looks at every stream twice, `sampleMs` apart. */
export async function measureHeadroom(nats: Nats, sampleMs: number): Promise<Headroom[]> {
  const before = await readStreams(nats);
  const begin = performance.now();
  await new Promise((resolve) => setTimeout(resolve, sampleMs));
  const after = await readStreams(nats);
  const seconds = (performance.now() - begin) / 1_000;
  return headroomOf(before, after, seconds);
}

/** The tightest stream that refuses writes when full, and the window of those that drop old messages. */
export function judgeHeadroom(rows: readonly Headroom[]): Finding {
  const refusing = rows.filter((row) => row.whenFull === "new");
  const full = refusing.filter((row) => row.usedShare > MUCH_USED);
  if (full.length > 0) {
    const names = full.map((row) => `${row.stream} ${(row.usedShare * 100).toFixed(0)} %`).join(", ");
    return fail("headroom", `nearly full: ${names}`, "intake will be refused; is the lane's owner running and PostgreSQL up?");
  }
  const soonest = refusing.filter((row) => row.hours !== null).toSorted((a, b) => (a.hours ?? 0) - (b.hours ?? 0))[0];
  if (!soonest || soonest.hours === null) return ok("headroom", "nothing is coming in");
  // Input that is folded and snapshotted is purged above 80 %, so this is the time somebody has when the workers stand still.
  const detail = `${soonest.hours.toFixed(1)} hours at the current rate if nothing is purged (${soonest.stream})`;
  return soonest.hours < FEW_HOURS ? warn("headroom", detail, "plan more disk for the streams, or fewer events") : ok("headroom", detail);
}
