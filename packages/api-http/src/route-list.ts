/** The routes that a shell really has, for checks against the OpenAPI document. Tests: shell.int.test.ts, and each service's own check. */
import type { ApiShell } from "./shell.ts";

/** `GET /api/auth/sessions/{id}`, sorted. */
export function listRoutes(shell: Pick<ApiShell, "routes">): string[] {
  const found = new Set<string>();
  for (const { route } of shell.routes.stack) {
    if (!route) continue;
    const path = route.path.replaceAll(/:(\w+)/g, "{$1}");
    for (const { method } of route.stack) found.add(`${method.toUpperCase()} ${path}`);
  }
  return [...found].sort();
}
