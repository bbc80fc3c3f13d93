/** Plants promises nobody waits for, beside handled ones. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { findFloatingPromises } from "./floating-promises.mjs";

const SOURCE = `
declare function work(): Promise<void>;
declare function maybe(): Promise<void> | undefined;
declare function calm(): number;
declare const on: boolean;
let kept: Promise<void>;
export async function f() {
  work();
  maybe();
  on && work();
  on ? work() : calm();
  work().then(() => 1);
  work().finally(() => 1);
  Promise.all([work()]);
  await work();
  void work();
  calm();
  kept = work();
  work().catch(() => 1);
  work().then(() => 1, () => 2);
  work().catch(() => 1).finally(() => 2);
  return kept;
}
`;

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(path.join(tmpdir(), "headwater-promises-"));
  writeFileSync(path.join(dir, "a.ts"), SOURCE);
  writeFileSync(
    path.join(dir, "tsconfig.json"),
    JSON.stringify({ compilerOptions: { target: "ES2022", strict: true, types: [] }, include: ["*.ts"] }),
  );
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

it("finds each promise that is thrown away and nothing else", { timeout: 30_000 }, () => {
  const { files, findings } = findFloatingPromises(path.join(dir, "tsconfig.json"));
  expect(files).toBe(1);
  expect(findings.map((finding) => finding.replace(/^a\.ts:\d+ /, "")).toSorted()).toEqual(
    [
      "work();",
      "maybe();",
      "on && work();",
      "on ? work() : calm();",
      "work().then(() => 1);",
      "work().finally(() => 1);",
      "Promise.all([work()]);",
    ].toSorted(),
  );
});
