/**
 * Writes infra/nats/nats.conf: a nats-server for production with one user per service, from the permissions and budgets of packages/protocol.
 * `--check` fails on drift instead. Touches that one file. Tests: render.test.ts, and render.int.test.ts with a real server.
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { NATS_USERS, natsPermissions } from "../../packages/protocol/src/services.ts";
import { BUDGETS, NATS_MAX_MEMORY_MEGABYTES, NATS_MAX_PAYLOAD_BYTES } from "../../packages/protocol/src/streams.ts";

export const NATS_CONF = path.join(import.meta.dirname, "nats.conf");

export function passwordVariable(user: string): string {
  return `NATS_PASSWORD_${user.toUpperCase()}`;
}

export function renderNatsConf(): string {
  const users = NATS_USERS.map((user) =>
    [
      "    {",
      `      user: ${user}`,
      `      password: $${passwordVariable(user)}`,
      // JSON is valid in this format; one permission a line, so that a diff shows one.
      `      permissions: ${JSON.stringify(natsPermissions(user), null, 2).replaceAll("\n", "\n      ")}`,
      "    }",
    ].join("\n"),
  );
  return `# Written by infra/nats/render.ts (npm run generate). Passwords come from the environment and begin with a letter.
# One node: fsync before every acknowledgement. Three nodes: add \`cluster\`, set NATS_REPLICAS=3 for the services, and sync_interval may be seconds.
server_name: $NATS_SERVER_NAME
host: 0.0.0.0
port: 4222
http: "127.0.0.1:8222"
max_payload: ${NATS_MAX_PAYLOAD_BYTES}
write_deadline: 10s
jetstream {
  store_dir: $NATS_STORE_DIR
  max_mem: ${NATS_MAX_MEMORY_MEGABYTES}M
  # Above the sum of what the streams reserve (profile "server").
  max_file: ${BUDGETS.server.maxFileBytes}
  sync_interval: always
}
authorization {
  users: [
${users.join("\n")}
  ]
}
`;
}

if (import.meta.main) {
  const text = renderNatsConf();
  if (!process.argv.includes("--check")) writeFileSync(NATS_CONF, text);
  else if (readFileSync(NATS_CONF, "utf8") !== text) {
    console.error("infra/nats/nats.conf is not what packages/protocol says: npm run generate");
    process.exitCode = 1;
  }
}
