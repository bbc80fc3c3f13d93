import { describe, expect, it } from "vitest";
import { natsConfig } from "./nats-server.ts";

const options = { dir: "/data/na ts", port: 4222, monitorPort: 8222, maxFileBytes: 1024, users: [] };

describe("natsConfig", () => {
  it("listens on loopback only and syncs before it acknowledges", () => {
    const text = natsConfig(options);
    expect(text).toContain("host: 127.0.0.1\n");
    expect(text).toContain('http: "127.0.0.1:8222"\n');
    expect(text).toContain("sync_interval: always");
    expect(text).toContain('store_dir: "/data/na ts/store"');
    expect(text).toContain("max_file: 1024");
    expect(text).not.toContain("authorization");
  });
  it("quotes passwords, whatever they hold", () => {
    const password = 'a"b\\c}d';
    const text = natsConfig({ ...options, users: [{ user: "auth", password }] });
    expect(text).toContain(`authorization { users: [{"user":"auth","password":${JSON.stringify(password)}}] }`);
  });
});
