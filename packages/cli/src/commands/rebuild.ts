/** `headwater rebuild <projection>` through the operator API. Tests: system.int.test.ts. */
import { oneOf, parse } from "../arguments.ts";
import { json } from "../output.ts";
import { createAdminClient } from "../system/admin-client.ts";
import { findTarget } from "../system/target.ts";
import type { Terminal } from "../terminal.ts";

const PROJECTIONS = ["registry"] as const;

export async function rebuildCommand(argv: readonly string[], terminal: Terminal): Promise<number> {
  const args = parse(argv, {}, { min: 1, max: 1 });
  const projection = oneOf(args.positionals[0] ?? "", PROJECTIONS, "projection");
  const answer = await createAdminClient(findTarget(args.port, terminal)).call("POST", `/rebuild/${projection}`, {});
  await terminal.out(args.json ? json(answer) : `${String(answer["restated"])} facts were missing and are told again\n`);
  return 0;
}
