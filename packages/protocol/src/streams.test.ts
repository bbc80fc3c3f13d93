import { describe, expect, it } from "vitest";
import { LANE_COUNT } from "./lane.ts";
import { NATS_USERS, natsPermissions, SERVICES } from "./services.ts";
import {
  BUDGETS,
  GROUP_COMMIT_MAX_BYTES,
  MAX_FEED_MESSAGE_BYTES,
  MAX_FRAME_BYTES,
  NATS_MAX_MEMORY_MEGABYTES,
  PROFILES,
  inputStreamName,
  type StreamSpec,
  streamSpecs,
} from "./streams.ts";
import { parseSubject } from "./subjects.ts";

const specs = streamSpecs("laptop");

describe.each(PROFILES)("streams of profile %s", (profile) => {
  it("reserve no more than the store has", () => {
    const budget = BUDGETS[profile];
    const sum = (specs: readonly StreamSpec[]): number => specs.reduce((bytes, spec) => bytes + spec.maxBytes, 0);
    const inMemory = streamSpecs(profile).filter((spec) => spec.inMemory);
    expect(sum(streamSpecs(profile)) - sum(inMemory) + 2 * budget.kv).toBeLessThanOrEqual(budget.maxFileBytes);
    expect(inMemory.map((spec) => spec.name)).toEqual(["SOCKETS"]);
    expect(sum(inMemory)).toBeLessThanOrEqual(NATS_MAX_MEMORY_MEGABYTES * 1_000_000);
  });
  it("hold many of their largest messages", () => {
    for (const spec of streamSpecs(profile)) {
      // The rare largest message of a feed is many times the usual one, and what is oldest may go.
      const least = spec.maxMsgBytes === MAX_FEED_MESSAGE_BYTES ? 10 : 100;
      expect(spec.maxBytes / spec.maxMsgBytes, spec.name).toBeGreaterThanOrEqual(least);
    }
  });
  it("are the same but for their budgets", () => {
    const shape = streamSpecs(profile).map(({ maxBytes: _, ...rest }) => rest);
    expect(shape).toEqual(specs.map(({ maxBytes: _, ...rest }) => rest));
  });
});

describe("streams", () => {
  it("have distinct names and subjects, and none overlaps another", () => {
    expect(new Set(specs.map((s) => s.name)).size).toBe(specs.length);
    const all = specs.flatMap((s) => s.subjects);
    for (const a of all) for (const b of all) expect(a === b || !covers(a, b), `${a} covers ${b}`).toBe(true);
  });
  it("hold every frame and every group commit", () => {
    for (const spec of specs.filter((s) => s.name === "SIGNALS" || s.name.startsWith("VISITS_"))) {
      expect(spec.maxMsgBytes).toBeGreaterThanOrEqual(MAX_FRAME_BYTES);
      expect(spec.maxMsgBytes).toBeGreaterThanOrEqual(GROUP_COMMIT_MAX_BYTES);
    }
  });
  it("one stream per lane of visits, none beyond", () => {
    const lanes = specs.filter((s) => s.name.startsWith("VISITS_"));
    expect(lanes.map((s) => s.name)).toEqual(Array.from({ length: LANE_COUNT }, (_, lane) => inputStreamName("visits", lane)));
    for (const spec of lanes) expect(parseSubject(spec.subjects[0] ?? "")).toMatchObject({ kind: "lane", family: "visits" });
  });
  it("never let go of unfinished input, erasures, consents or facts", () => {
    for (const spec of specs) {
      const mustKeep = /^(VISITS_|ERASURES|CONSENTS|REGISTRY)/.test(spec.name);
      expect(spec.discard, spec.name).toBe(mustKeep ? "new" : "old");
    }
  });
});

describe("NATS permissions", () => {
  it("only the owner may create or change a stream", () => {
    for (const spec of specs) {
      for (const user of NATS_USERS) {
        const allowed = natsPermissions(user).publish.allow;
        for (const verb of ["CREATE", "UPDATE"]) {
          const subject = `$JS.API.STREAM.${verb}.${spec.name}`;
          expect(
            allowed.some((pattern) => covers(pattern, subject)),
            `${user} ${subject}`,
          ).toBe(user === spec.owner);
        }
      }
    }
  });
  it("only the writer of a stream may publish to it", () => {
    const writers: Record<string, string[]> = {
      visits: ["ingest"],
      consents: ["ingest"],
      signals: ["scoring"],
      erasures: ["scoring"],
      registry: ["auth"],
      sockets: ["edge"],
      dlq: [...SERVICES],
    };
    for (const [family, expected] of Object.entries(writers)) {
      for (const user of NATS_USERS) {
        const subject = family === "registry" ? "registry.key.k1" : family === "dlq" ? `dlq.${user}` : `${family}.3`;
        const may = natsPermissions(user).publish.allow.some((pattern) => covers(pattern, subject));
        expect(may, `${user} ${subject}`).toBe(expected.includes(user));
      }
    }
  });
  it("nobody may delete a stream, only the lane owner may purge visits", () => {
    for (const user of NATS_USERS) {
      const allowed = natsPermissions(user).publish.allow;
      for (const spec of specs) {
        const may = (verb: string): boolean => allowed.some((pattern) => covers(pattern, `$JS.API.STREAM.${verb}.${spec.name}`));
        expect(may("DELETE"), `${user} deletes ${spec.name}`).toBe(false);
        expect(may("MSG.DELETE"), `${user} deletes in ${spec.name}`).toBe(false);
        expect(may("PURGE"), `${user} purges ${spec.name}`).toBe(user === "scoring" && spec.name.startsWith("VISITS_"));
      }
    }
  });
  it("no service listens to another one's requests", () => {
    for (const user of SERVICES) {
      const { allow } = natsPermissions(user).subscribe;
      for (const other of SERVICES) {
        expect(
          allow.some((pattern) => covers(pattern, `svc.${other}.verb`)),
          `${user} as ${other}`,
        ).toBe(user === other);
      }
    }
  });
});

/** True when every subject of `b` is one of `a` (NATS wildcards `*` and `>`). */
function covers(a: string, b: string): boolean {
  const want = a.split(".");
  const have = b.split(".");
  for (const [i, token] of want.entries()) {
    if (token === ">") return have.length > i;
    const got = have[i];
    if (got === undefined || (token !== "*" && token !== got)) return false;
  }
  return want.length === have.length;
}
