/** What a service instance says about itself, in one shape. Pure. Tests: instances.test.ts. */
import type { ServiceInstance } from "@headwater/messaging";
import type { InstanceHealth } from "./health.ts";
import { isObject } from "./run-file.ts";

export interface LaneOfInstance {
  lane: number;
  state: string;
  epoch: number;
  /** Input position reached, and input messages not yet folded. */
  in: number;
  lag: number;
}

export interface InstanceStatus {
  service: string;
  instance: string;
  version: string;
  pid: number | null;
  started: string;
  uptimeMs: number;
  /** `up` when nothing but its presence is known (its admin listener is not reachable from here). */
  state: "up" | "degraded" | "down";
  /** Names of failed health checks. */
  problems: string[];
  /** Family its lanes belong to; services of this version own lanes of one family. */
  lanes: LaneOfInstance[];
  /** REGISTRY position it has read. */
  registry: number | null;
  /** Everything else it reports. */
  details: Record<string, unknown>;
}

export interface LaneOwner extends LaneOfInstance {
  family: string;
  owner: string;
}

export function instanceStatus(found: ServiceInstance, health: ReadonlyMap<string, InstanceHealth>, nowMs: number): InstanceStatus {
  const { lanes, registry, ...details } = found.status;
  const report = health.get(found.instance);
  const pid = Number(found.metadata["pid"]);
  const started = Date.parse(found.started);
  return {
    service: found.service,
    instance: found.instance,
    version: found.version,
    pid: Number.isSafeInteger(pid) && pid > 0 ? pid : null,
    started: found.started,
    uptimeMs: Number.isNaN(started) ? 0 : Math.max(0, nowMs - started),
    state: report?.status ?? "up",
    problems: report?.problems ?? [],
    lanes: (Array.isArray(lanes) ? lanes : []).filter(isObject).map(toLane),
    registry: typeof registry === "number" ? registry : null,
    details,
  };
}

/** What is known of an instance that should be there and does not answer: it was killed, is starting, or hangs. */
export function silentInstance(instance: string, report: InstanceHealth): InstanceStatus {
  return {
    service: instance.replace(/-[^-]*$/, ""),
    instance,
    version: "-",
    pid: null,
    started: "",
    uptimeMs: 0,
    state: "down",
    problems: ["no answer", ...report.problems],
    lanes: [],
    registry: null,
    details: {},
  };
}

/** Those that answered and those that should have, by name. */
export function everyInstance(
  found: readonly ServiceInstance[],
  health: ReadonlyMap<string, InstanceHealth>,
  nowMs: number,
): InstanceStatus[] {
  const silent = [...health].filter(([instance]) => !found.some((other) => other.instance === instance));
  return [
    ...found.map((instance) => instanceStatus(instance, health, nowMs)),
    ...silent.map(([instance, report]) => silentInstance(instance, report)),
  ].toSorted((a, b) => a.instance.localeCompare(b.instance));
}

/** `down`: some service has no instance that works. `degraded`: every service works, something should be looked at. */
export function overall(instances: readonly InstanceStatus[], services: readonly string[]): "up" | "degraded" | "down" {
  const works = (service: string): boolean => instances.some((instance) => instance.service === service && instance.state !== "down");
  if (!services.every(works)) return "down";
  return instances.every((instance) => instance.state === "up") ? "up" : "degraded";
}

/** Every lane with its owner, ordered by family and lane. Two owners of one lane are both shown: that is what somebody looks for. */
export function laneOwners(instances: readonly InstanceStatus[]): LaneOwner[] {
  return instances
    .flatMap((instance) => instance.lanes.map((lane) => ({ family: familyOf(instance), owner: instance.instance, ...lane })))
    .toSorted((a, b) => a.family.localeCompare(b.family) || a.lane - b.lane || b.epoch - a.epoch);
}

/** What an instance says; `scoring` says nothing and folds `visits`. */
function familyOf(instance: InstanceStatus): string {
  const family = instance.details["family"];
  return typeof family === "string" ? family : "visits";
}

function toLane(lane: Record<string, unknown>): LaneOfInstance {
  const number = (name: string): number => (typeof lane[name] === "number" ? lane[name] : 0);
  return { lane: number("lane"), state: String(lane["state"] ?? "?"), epoch: number("epoch"), in: number("in"), lag: number("lag") };
}
