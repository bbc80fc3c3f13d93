import { describe, expect, it } from "vitest";
import { ConfigError } from "./env.ts";
import { instanceIdOf, parseProcessEnv, ProcessEnv, secretsOf } from "./process-config.ts";

const secret = (letter: string): string => letter.repeat(32);
const env = {
  NATS_URL: "nats://127.0.0.1:4222",
  KEY_PEPPER: secret("a"),
  CURSOR_KEY: secret("b"),
  PRIVACY_KEY: secret("c"),
  HEADWATER_ADMIN_TOKEN: secret("d"),
  JWT_SECRET: secret("e"),
  ENCRYPTION_KEY: secret("f"),
};

describe("settings of a service process", () => {
  it("has safe defaults: loopback, any free port, info", () => {
    expect(parseProcessEnv(env)).toMatchObject({
      HTTP_HOST: "127.0.0.1",
      HTTP_PORT: 0,
      ADMIN_HOST: "127.0.0.1",
      ADMIN_PORT: 0,
      LOG_LEVEL: "info",
      HEADWATER_PROFILE: "server",
      DRAIN_TIMEOUT_MS: 10_000,
    });
  });
  it.each(["KEY_PEPPER", "CURSOR_KEY", "PRIVACY_KEY", "HEADWATER_ADMIN_TOKEN", "JWT_SECRET", "ENCRYPTION_KEY"])(
    "refuses to run without %s, or with a short one",
    (name) => {
      expect(() => parseProcessEnv({ ...env, [name]: undefined })).toThrow(ConfigError);
      expect(() => parseProcessEnv({ ...env, [name]: "x".repeat(31) })).toThrow(/at least 32/);
    },
  );
  it("says nothing of a secret's value", () => {
    expect(() => parseProcessEnv({ ...env, KEY_PEPPER: "hunter2" })).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining("hunter2") }),
    );
  });
  it("hands each secret to its own place", () => {
    expect(secretsOf(parseProcessEnv(env))).toEqual({
      keyPepper: secret("a"),
      cursorKey: secret("b"),
      privacyKey: secret("c"),
      adminToken: secret("d"),
      jwtSecret: secret("e"),
      encryptionKey: secret("f"),
    });
  });
  it("identifies an instance by its slot, else by service and host", () => {
    expect(instanceIdOf(parseProcessEnv({ ...env, HEADWATER_INSTANCE: "scoring-0" }), "scoring", "host")).toBe("scoring-0");
    expect(instanceIdOf(parseProcessEnv(env), "edge", "my.host.example")).toBe("edge-my-host-example");
    expect(instanceIdOf(parseProcessEnv(env), "edge", "x".repeat(200)).length).toBeLessThanOrEqual(48);
    expect(() => parseProcessEnv({ ...env, HEADWATER_INSTANCE: "a b" })).toThrow(ConfigError);
  });
  it("describes every variable, for the table in the docs", () => {
    for (const [name, schema] of Object.entries(ProcessEnv.shape)) expect(schema.description, name).toBeTruthy();
  });
});
