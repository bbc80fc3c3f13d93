/** `headwater status`: every instance of every service with its lanes and lag, and every stream. Tests: system.int.test.ts. */
import { discoverServices } from "@headwater/messaging";
import { LANE_COUNT, SERVICES } from "@headwater/protocol";
import { parse } from "../arguments.ts";
import { bytes, duration, json, table } from "../output.ts";
import { everyInstance, type InstanceStatus, type LaneOwner, laneOwners, overall } from "../system/instances.ts";
import { readHealth } from "../system/health.ts";
import { grouped, readStreams, type StreamUse } from "../system/streams.ts";
import { connectNats, findTarget } from "../system/target.ts";
import type { Terminal } from "../terminal.ts";

export async function statusCommand(argv: readonly string[], terminal: Terminal): Promise<number> {
  const args = parse(argv, {});
  const target = findTarget(args.port, terminal);
  const nats = await connectNats(target, "admin");
  try {
    const [found, streams, health] = await Promise.all([discoverServices(nats), readStreams(nats), readHealth(target)]);
    const instances = everyInstance(found, health, Date.now());
    const missing = SERVICES.filter((service) => !instances.some((instance) => instance.service === service));
    const lanes = laneOwners(instances);
    const status = overall(instances, SERVICES);
    if (args.json) await terminal.out(json({ status, url: target.url, missing, instances, lanes, streams }));
    else await terminal.out(human(`${target.url}  ${status}`, instances, missing, lanes, streams));
    return status === "down" ? 1 : 0;
  } finally {
    await nats.drain();
  }
}

function human(
  title: string,
  instances: readonly InstanceStatus[],
  missing: readonly string[],
  lanes: readonly LaneOwner[],
  streams: readonly StreamUse[],
): string {
  const services = table(instances, [
    { title: "INSTANCE", value: (row) => row.instance },
    { title: "STATE", value: (row) => (row.problems.length > 0 ? `${row.state} (${row.problems.join(", ")})` : row.state) },
    { title: "PID", value: (row) => (row.pid === null ? "-" : String(row.pid)), align: "right" },
    { title: "VERSION", value: (row) => row.version },
    { title: "UP", value: (row) => (row.started === "" ? "-" : duration(row.uptimeMs)), align: "right" },
    { title: "LANES", value: (row) => (row.lanes.length === 0 ? "-" : ranges(row.lanes.map((lane) => lane.lane))) },
    {
      title: "LAG",
      value: (row) => (row.lanes.length === 0 ? "-" : String(row.lanes.reduce((sum, lane) => sum + lane.lag, 0))),
      align: "right",
    },
    { title: "REGISTRY", value: (row) => (row.registry === null ? "-" : String(row.registry)), align: "right" },
  ]);
  const families = [...new Set(lanes.map((lane) => lane.family))];
  const ownerless = families.flatMap((family) => {
    const owned = lanes.filter((lane) => lane.family === family).map((lane) => lane.lane);
    const free = Array.from({ length: LANE_COUNT }, (_, lane) => lane).filter((lane) => !owned.includes(lane));
    return free.length > 0 ? [`lanes of ${family} without an owner: ${ranges(free)}`] : [];
  });
  const used = table(grouped(streams), [
    { title: "STREAM", value: (row) => (row.lanes > 1 ? `${row.stream} (${row.lanes})` : row.stream) },
    { title: "MESSAGES", value: (row) => String(row.messages), align: "right" },
    { title: "SIZE", value: (row) => bytes(row.bytes), align: "right" },
    { title: "BUDGET", value: (row) => bytes(row.maxBytes), align: "right" },
    { title: "USED", value: (row) => `${(row.usedShare * 100).toFixed(1)} %`, align: "right" },
    { title: "WHEN FULL", value: (row) => (row.whenFull === "new" ? "refuses" : "drops oldest") },
  ]);
  const warnings = [...missing.map((service) => `no instance of ${service} answers`), ...ownerless].map((text) => `! ${text}\n`).join("");
  return `${title}\n\n${services}${warnings}\n${used}`;
}

/** `[0,1,2,5]` → `0-2,5` */
function ranges(numbers: readonly number[]): string {
  const parts: [number, number][] = [];
  for (const n of numbers.toSorted((a, b) => a - b)) {
    const last = parts.at(-1);
    if (last && n === last[1] + 1) last[1] = n;
    else parts.push([n, n]);
  }
  return parts.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join(",");
}
