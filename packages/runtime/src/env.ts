/** Environment → typed config, once, by a pure function. Empty strings count as absent. Tests: env.test.ts. */
import { z } from "zod";

export type Env = Readonly<Record<string, string | undefined>>;

/** Names every bad key at once. */
export class ConfigError extends Error {
  readonly code = "bad_config";
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(`bad configuration:\n${problems.map((p) => `  ${p}`).join("\n")}`);
    this.problems = problems;
  }
}

export function parseEnv<S extends z.ZodType>(schema: S, env: Env): z.infer<S> {
  const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ""));
  const parsed = schema.safeParse(present);
  if (parsed.success) return parsed.data;
  throw new ConfigError(parsed.error.issues.map((issue) => `${issue.path.join(".") || "environment"}: ${issue.message}`));
}

/** Schema parts for environment values, which are always text. */
export const envNumber = (min: number, max: number) => z.coerce.number().int().min(min).max(max);
export const envFlag = () => z.stringbool();
export const envList = () =>
  z.string().transform((text) =>
    text
      .split(",")
      .map((item) => item.trim())
      .filter((item) => item !== ""),
  );
