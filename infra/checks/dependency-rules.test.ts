/** Plants one violation of every rule family in a tree of its own and expects red. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkDependencies, type DependencyReport } from "./dependency-rules.ts";

const FILES: Record<string, string> = {
  "packages/protocol/src/index.ts": "export const subject = 1;",
  "packages/runtime/src/index.ts": "export const shell = 1;",
  "packages/testkit/src/index.ts": "export const kit = 1;",
  "services/auth/src/service.ts": "export const startAuth = 1;",
  "services/auth/src/domain/clean.ts":
    'import { subject } from "../../../../packages/protocol/src/index.ts"; export const clean = subject;',
  "services/auth/src/clean.test.ts": 'import { kit } from "../../../packages/testkit/src/index.ts"; export const used = kit;',
  // One planted violation each:
  "packages/protocol/src/upward.ts": 'import { shell } from "../../runtime/src/index.ts"; export const bad = shell;',
  "packages/runtime/src/kit.ts": 'import { kit } from "../../testkit/src/index.ts"; export const bad = kit;',
  "services/scoring/src/domain/clock.ts": 'import { hrtime } from "node:process"; export const bad = hrtime;',
  "services/scoring/src/domain/adapter.ts": 'import { a } from "../adapters/a.ts"; export const bad = a;',
  "services/scoring/src/adapters/a.ts": "export const a = 1;",
  "services/scoring/src/peer.ts": 'import { startAuth } from "../../auth/src/service.ts"; export const bad = startAuth;',
  "services/scoring/src/lost.ts": 'import { nothing } from "./not-there.ts"; export const bad = nothing;',
  "services/edge/src/round.ts": 'import { other } from "./trip.ts"; export const round = () => other;',
  "services/edge/src/trip.ts": 'import { round } from "./round.ts"; export const other = () => round;',
  "services/edge/src/harness.ts": 'import { rig } from "../../../test/rig.ts"; export const bad = rig;',
  "services/edge/src/wrong.ts": 'import { used } from "../../auth/src/clean.test.ts"; export const bad = used;',
  "test/rig.ts": "export const rig = 1;",
};

describe("dependency rules", () => {
  let root: string;
  let report: DependencyReport;
  beforeAll(async () => {
    root = mkdtempSync(path.join(tmpdir(), "headwater-rules-"));
    for (const [file, text] of Object.entries(FILES)) {
      mkdirSync(path.join(root, path.dirname(file)), { recursive: true });
      writeFileSync(path.join(root, file), text);
    }
    report = await checkDependencies(root, ["packages", "services", "test"]);
  }, 30_000);
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it("reads the TypeScript files", () => expect(report.modules).toBeGreaterThanOrEqual(Object.keys(FILES).length));

  it.each([
    "package-protocol: packages/protocol/src/upward.ts → packages/runtime/src/index.ts",
    "protocol-needs-zod-only: packages/protocol/src/upward.ts → packages/runtime/src/index.ts",
    "package-runtime: packages/runtime/src/kit.ts → packages/testkit/src/index.ts",
    "testkit-in-tests-only: packages/runtime/src/kit.ts → packages/testkit/src/index.ts",
    "domain-is-pure: services/scoring/src/domain/clock.ts → process",
    "domain-is-pure: services/scoring/src/domain/adapter.ts → services/scoring/src/adapters/a.ts",
    "services-are-strangers: services/scoring/src/peer.ts → services/auth/src/service.ts",
    "resolvable: services/scoring/src/lost.ts → ./not-there.ts",
    "no-cycle: services/edge/src/round.ts → services/edge/src/trip.ts",
    "nothing-imports-tests: services/edge/src/harness.ts → test/rig.ts",
    "nothing-imports-test-files: services/edge/src/wrong.ts → services/auth/src/clean.test.ts",
  ])("finds %s", (violation) => expect(report.violations).toContain(violation));

  it("leaves clean files alone", () => expect(report.violations.filter((line) => line.includes("clean.ts"))).toEqual([]));
});
