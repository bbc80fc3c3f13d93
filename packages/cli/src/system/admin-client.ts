/** The operator API over HTTP. Refusals become one readable line. Tests: commands/system.int.test.ts. */
import { CommandFailed } from "../terminal.ts";
import { isObject } from "./run-file.ts";
import { adminTokenOf, type Target } from "./target.ts";

export interface AdminClient {
  /** @throws CommandFailed with the service's own message. */
  call(method: "GET" | "POST" | "PUT" | "DELETE", path: string, body?: unknown): Promise<Record<string, unknown>>;
}

const TIMEOUT_MS = 15_000;

export function createAdminClient(target: Target): AdminClient {
  const token = adminTokenOf(target);
  return {
    async call(method, path, body) {
      let answer: Response;
      let text: string;
      try {
        answer = await fetch(`${target.url}/admin/v1${path}`, {
          method,
          headers: { Authorization: `Bearer ${token}`, ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          signal: AbortSignal.timeout(TIMEOUT_MS),
        });
        text = await answer.text();
      } catch (error) {
        throw new CommandFailed(`${target.url} does not answer: ${reason(error)}`, { cause: error });
      }
      const parsed = parseObject(text);
      if (answer.ok && parsed) return parsed;
      throw new CommandFailed(parsed ? refusal(parsed) : `${target.url} answered ${answer.status} without a JSON body`);
    },
  };
}

/** `invalid_request: The request is not valid (scopes.0: …)` */
function refusal(body: Record<string, unknown>): string {
  const problems = (Array.isArray(body["problems"]) ? body["problems"] : [])
    .filter(isObject)
    .map((problem) => `${String(problem["path"] || "body")}: ${String(problem["message"])}`);
  return `${String(body["error"])}: ${String(body["message"])}${problems.length > 0 ? ` (${problems.join("; ")})` : ""}`;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined; // reported with the status by the caller
  }
}

/** fetch hides the reason one level down. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error && error.cause.message !== "" ? error.cause.message : error.message;
}
