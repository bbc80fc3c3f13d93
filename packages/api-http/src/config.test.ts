import { parseEnv } from "@headwater/runtime";
import { describe, expect, it } from "vitest";
import { ApiEnv, AuthLimitEnv, authLimits } from "./config.ts";

describe("settings of the shell", () => {
  it("have the defaults of the contract", () => {
    expect(parseEnv(ApiEnv, {})).toEqual({
      CORS_ORIGIN: ["http://localhost:7200"],
      REQUEST_TIMEOUT_MS: 15_000,
      TRUSTED_PROXIES: [],
      RATE_LIMIT_PER_SECOND: 20,
      RATE_LIMIT_BURST: 50,
    });
    const [login, auth] = authLimits(parseEnv(AuthLimitEnv, {}));
    expect(login).toMatchObject({ name: "login", rate: { rate: 3, burst: 5 }, by: "address" });
    expect(auth).toMatchObject({ name: "auth", rate: { rate: 10, burst: 20 }, by: "client" });
  });

  it("take origins as people write them, and nothing else", () => {
    const origins = (text: string) => parseEnv(ApiEnv, { CORS_ORIGIN: text }).CORS_ORIGIN;
    expect(origins("https://App.example.com/, http://localhost:7200")).toEqual(["https://app.example.com", "http://localhost:7200"]);
    expect(origins("*")).toEqual(["*"]);
    for (const bad of ["app.example.com", "https://app.example.com/path", "ftp://x", "null"])
      expect(() => origins(bad)).toThrow(`not an origin: ${bad}`);
  });

  it("limit each path of /api/auth once", () => {
    const limits = authLimits(parseEnv(AuthLimitEnv, { RATE_LIMIT_LOGIN_BURST: "9", RATE_LIMIT_AUTH_PER_SECOND: "8" }));
    const names = (path: string) => limits.filter((limit) => limit.matches(path)).map(({ name }) => name);
    expect(names("/api/auth/login")).toEqual(["login"]);
    expect(names("/api/auth/register")).toEqual(["login"]);
    expect(names("/api/auth/2fa/enable")).toEqual(["auth"]);
    expect(names("/api/marketplace/feeds")).toEqual([]);
    expect(limits.map(({ rate }) => rate)).toEqual([{ rate: 3, burst: 9 }, { rate: 8, burst: 20 }]); // biome-ignore format: pairs
  });
});
