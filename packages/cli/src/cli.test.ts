import { describe, expect, it } from "vitest";
import { runCli } from "./cli.ts";
import { recordedTerminal } from "./testing.ts";

const run = async (...argv: string[]) => {
  const terminal = recordedTerminal();
  return { code: await runCli(argv, terminal), out: terminal.stdout(), err: terminal.stderr() };
};

describe("wrong usage is exit 2 with the usage text on stderr, and nothing on stdout", () => {
  it.each([
    [[]],
    [["frobnicate"]],
    [["constructor"]],
    [["keys"]],
    [["keys", "frobnicate"]],
    [["keys", "create"]],
    [["keys", "create", "--tenant", "acme", "--scopes", "nonsense"]],
    [["keys", "create", "--tenant", "acme", "--scopes", "signals:read", "--prefix", "zz"]],
    [["keys", "create", "--tenant", "acme", "--scopes", "signals:read", "--plan", "gold"]],
    [["keys", "create", "--tenant", "acme", "--scopes", "signals:read", "--expires", "soon"]],
    [["keys", "list"]],
    [["keys", "revoke"]],
    [["tenants", "set-plan", "--tenant", "acme"]],
    [["tap"]],
    [["tap", "posts.>"]],
    [["tap", "signals", "--class", "alien"]],
    [["tap", "signals", "--since", "yesterday"]],
    [["tap", "signals", "--limit", "0"]],
    [["status", "extra"]],
    [["status", "--port", "x"]],
    [["replay"]],
    [["replay", "emotions"]],
    [["replay", "visits", "--lane", "16"]],
    [["rebuild", "everything"]],
    [["feed"]],
    [["feed", "--key", "k", "--url", "http://x"]],
    [["feed", "--key", "k", "--url", "ws://x", "--filter", "novalue"]],
  ])("%j", async (argv) => {
    const result = await run(...argv);
    expect(result.code).toBe(2);
    expect(result.out).toBe("");
    expect(result.err).toContain("headwater ");
  });
});

it("fails with one line when nothing runs there", async () => {
  const result = await run("keys", "list", "--tenant", "acme", "--port", "1");
  expect(result.code).toBe(1);
  expect(result.err).toMatch(/^headwater: no Headwater of this user runs on port 1 .*\n$/);
});

it.each([[["--help"]], [["help"]], [["keys", "--help"]], [["help", "tap"]]])("%j prints help on stdout", async (argv) => {
  const result = await run(...argv);
  expect(result.code).toBe(0);
  expect(result.out).toContain("headwater");
  expect(result.err).toBe("");
});
