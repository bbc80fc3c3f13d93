/** What we rely on the linter to find with our configuration: promises nobody waits for, and errors of type. Nothing else looks for them. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";

const ROOT = path.resolve(import.meta.dirname, "../..");
const SOURCE = `declare function work(): Promise<void>;
declare function maybe(): Promise<void> | undefined;
declare function calm(): number;
export async function f(): Promise<void> {
  work();
  maybe();
  work().then(() => 1);
  work().finally(() => 1);
  Promise.all([work(), work()]);
  await work();
  void work();
  calm();
  const kept = work();
  work().catch(() => 1);
  work().then(
    () => 1,
    () => 2,
  );
  return kept;
}
export const wrong: number = "text";
`;

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(path.join(tmpdir(), "headwater-lint-"));
  writeFileSync(path.join(dir, "a.ts"), SOURCE);
  writeFileSync(path.join(dir, "tsconfig.json"), JSON.stringify({ compilerOptions: { target: "ES2022", strict: true, types: [] } }));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

it("finds each promise that is thrown away and each wrong type, and nothing else", () => {
  const config = path.join(ROOT, ".oxlintrc.json");
  const { stdout, status } = spawnSync(path.join(ROOT, "node_modules/.bin/oxlint"), ["-c", config, "-f", "unix", dir], {
    encoding: "utf8",
  });
  const found = stdout.split("\n").flatMap((line) => {
    const [, at, rule] = /a\.ts:(\d+):.*\/(?:typescript\()?([\w-]+)\)?\]$/.exec(line) ?? [];
    return at === undefined ? [] : [`${rule} ${at}`];
  });
  const thrownAway = [5, 6, 7, 8, 9].map((line) => `no-floating-promises ${line}`);
  expect(found.toSorted()).toEqual(["TS2322 21", ...thrownAway]);
  expect(status).toBe(1);
});
