/**
 * Checks who imports whom against .dependency-cruiser.cjs. Reads the source tree only.
 * A cruise of nothing is a failure: with a compiler it cannot use, dependency-cruiser sees 0 modules and reports success.
 * Tests: dependency-rules.test.ts.
 */
import path from "node:path";
import { cruise, type ICruiseResult } from "dependency-cruiser";
import extractDepcruiseOptions from "dependency-cruiser/config-utl/extract-depcruise-options";

const ROOT = path.resolve(import.meta.dirname, "../..");
const FOLDERS = ["packages", "services", "test", "infra"];

export interface DependencyReport {
  modules: number;
  /** `rule: from → to`, sorted. */
  violations: string[];
}

/** @param baseDir a tree with the workspace's folder layout; only folders that exist in it are read. */
export async function checkDependencies(baseDir: string, folders: readonly string[] = FOLDERS): Promise<DependencyReport> {
  const options = await extractDepcruiseOptions(path.join(ROOT, ".dependency-cruiser.cjs"));
  // The TypeScript settings are those of the resolver options in the configuration; a tsconfig with `extends` needs no second reading here.
  const { tsConfig: _unused, ...rest } = options;
  const { output } = await cruise([...folders], { ...rest, baseDir });
  if (typeof output === "string") throw new TypeError("dependency-cruiser answered with text instead of a result");
  return reportOf(output);
}

function reportOf(result: ICruiseResult): DependencyReport {
  const violations = result.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`);
  return { modules: result.summary.totalCruised, violations: violations.toSorted() };
}

if (import.meta.main) {
  process.chdir(ROOT);
  const { modules, violations } = await checkDependencies(ROOT);
  for (const violation of violations) console.error(violation);
  if (modules === 0) console.error("no module was cruised: is dependency-cruiser's own TypeScript installed?");
  console.log(`${modules} modules, ${violations.length} violations`);
  if (modules === 0 || violations.length > 0) process.exitCode = 1;
}
