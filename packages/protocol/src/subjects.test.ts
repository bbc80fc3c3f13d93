import { describe, expect, it } from "vitest";
import vectors from "../vectors/subjects.json" with { type: "json" };
import {
  INPUT_FAMILIES,
  type LanedFamily,
  OUTPUT_FAMILIES,
  parseSubject,
  REGISTRY_AGGREGATES,
  type RegistryAggregate,
  subjects,
} from "./subjects.ts";

const FAMILIES: readonly LanedFamily[] = [...INPUT_FAMILIES, ...OUTPUT_FAMILIES, "erasures", "consents"];

function family(text: string): LanedFamily {
  const found = FAMILIES.find((name) => name === text);
  if (!found) throw new Error(`the vectors name an unknown family: ${text}`);
  return found;
}
function aggregate(text: string): RegistryAggregate {
  const found = REGISTRY_AGGREGATES.find((name) => name === text);
  if (!found) throw new Error(`the vectors name an unknown aggregate: ${text}`);
  return found;
}

describe("subjects", () => {
  it.each(vectors.lanes)("lane $subject, both directions", (v) => {
    expect(subjects.lane(family(v.family), v.lane)).toBe(v.subject);
    expect(parseSubject(v.subject)).toEqual({ kind: "lane", family: v.family, lane: v.lane });
  });
  it("has a lane vector for every family", () => {
    expect(new Set(vectors.lanes.map((v) => v.family))).toEqual(new Set(FAMILIES));
  });
  it.each(vectors.allLanes)("all lanes $subject", (v) => expect(subjects.allLanes(family(v.family))).toBe(v.subject));
  it.each(vectors.registry)("registry $subject, both directions", (v) => {
    expect(subjects.registry(aggregate(v.aggregate), v.id)).toBe(v.subject);
    expect(parseSubject(v.subject)).toEqual({ kind: "registry", aggregate: v.aggregate, id: v.id });
  });
  it.each(vectors.deadLetters)("dead letters $subject, both directions", (v) => {
    expect(subjects.deadLetters(v.service)).toBe(v.subject);
    expect(parseSubject(v.subject)).toEqual({ kind: "dead_letter", service: v.service });
  });
  it.each(vectors.socketSessions)("socket session $subject, both directions", (v) => {
    expect(subjects.socketSession(v.key)).toBe(v.subject);
    expect(parseSubject(v.subject)).toEqual({ kind: "socket_session", key: v.key });
  });
  it("requests and presence", () => {
    expect(subjects.laneRequest("visits", 3, "context")).toBe("rpc.visits.3.context");
    expect(subjects.serviceRequest("auth", "verify")).toBe("svc.auth.verify");
    expect(subjects.presence("edge-0")).toBe("presence.edge-0");
    expect(vectors.requests.map((v) => v.subject)).toEqual(["rpc.visits.3.context", "svc.auth.verify"]);
  });
  it.each(vectors.unknown)("%j is none of ours", (subject) => expect(parseSubject(subject)).toEqual({ kind: "unknown" }));
  it.each(vectors.badLanes)("no subject for lane %j", (lane) => expect(() => subjects.lane("visits", lane)).toThrow(RangeError));
  it.each(vectors.badTokens)("token %j cannot widen a subject", (token) => {
    expect(() => subjects.registry("key", token)).toThrow(RangeError);
    expect(() => subjects.deadLetters(token)).toThrow(RangeError);
    expect(() => subjects.laneRequest("visits", 0, token)).toThrow(RangeError);
    expect(() => subjects.serviceRequest(token, "verify")).toThrow(RangeError);
    expect(() => subjects.serviceRequest("auth", token)).toThrow(RangeError);
    expect(() => subjects.presence(token)).toThrow(RangeError);
    expect(() => subjects.socketSession(token)).toThrow(RangeError);
  });
  it("parses by the lane count of the installation", () => {
    expect(parseSubject("visits.16", 32)).toEqual({ kind: "lane", family: "visits", lane: 16 });
    expect(parseSubject("visits.16", 16)).toEqual({ kind: "unknown" });
  });
});
