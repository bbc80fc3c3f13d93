/** One ingest instance as a process of its own, for tests that kill it. Settings come as JSON in the first argument. */
import { createLogger, systemClock } from "@headwater/runtime";
import { parseIngestConfig } from "../config.ts";
import { startIngest } from "../service.ts";

interface Settings {
  natsUrl: string;
  user: string;
  password: string;
  instanceId: string;
  allowedHost: string;
  encryptionKey: string;
}

// Written by the harness.
const settings = JSON.parse(process.argv[2] ?? "{}") as Settings;
const { encryptionKey } = settings;
await startIngest(parseIngestConfig({ UPSTREAM_ALLOWED_HOSTS: settings.allowedHost }), {
  log: createLogger({ service: settings.instanceId, level: "silent" }),
  clock: systemClock,
  natsUrl: settings.natsUrl,
  natsUser: settings.user,
  natsPassword: settings.password,
  instanceId: settings.instanceId,
  profile: "laptop",
  secrets: { keyPepper: "", cursorKey: "", privacyKey: "privacy", adminToken: "", jwtSecret: "", encryptionKey },
});
process.stdout.write("started\n");
