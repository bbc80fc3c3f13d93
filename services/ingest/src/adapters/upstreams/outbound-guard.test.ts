/** W8: where a customer's URL may lead. Names are resolved by a table, so no network is used. */
import { describe, expect, it } from "vitest";
import { createOutboundGuard, isPublicAddress, type OutboundGuard, OutboundRefused, Unresolvable } from "./outbound-guard.ts";

const NAMES: Record<string, string[]> = {
  "public.example": ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"],
  "mixed.example": ["93.184.215.14", "10.0.0.7"],
  "metadata.example": ["169.254.169.254"],
  "mapped.example": ["::ffff:127.0.0.1"],
};
function guard(change: Partial<Parameters<typeof createOutboundGuard>[0]> = {}): OutboundGuard {
  return createOutboundGuard({ allowedHosts: [], allowPrivate: false, resolve: (name) => Promise.resolve(NAMES[name] ?? []), ...change });
}

const LITERALS = [
  "127.0.0.1",
  "127.1",
  "0x7f.1",
  "0x7f000001",
  "2130706433",
  "017700000001",
  "0177.0.0.1",
  "127.0.0.1.",
  "１２７.０.０.１",
  "127。0。0。1",
  "0",
  "0.0.0.0",
  "0.1.2.3",
  "10.1.2.3",
  "100.64.0.1",
  "100.127.255.255",
  "169.254.169.254",
  "172.16.0.1",
  "172.31.255.255",
  "192.0.0.1",
  "192.0.2.1",
  "192.168.1.1",
  "198.18.0.1",
  "198.19.255.255",
  "198.51.100.1",
  "203.0.113.1",
  "224.0.0.1",
  "239.255.255.255",
  "240.0.0.1",
  "255.255.255.255",
  "[::]",
  "[::1]",
  "[0:0:0:0:0:0:0:1]",
  "[::ffff:127.0.0.1]",
  "[::ffff:7f00:1]",
  "[::ffff:169.254.169.254]",
  "[::127.0.0.1]",
  "[64:ff9b::7f00:1]",
  "[64:ff9b:1::1]",
  "[2002:7f00:1::]",
  "[2001::1]",
  "[2001:db8::1]",
  "[fc00::1]",
  "[fd12:3456::1]",
  "[fe80::1]",
  "[fec0::1]",
  "[ff02::1]",
  "[100::1]",
];
const LOCAL_NAMES = ["localhost", "LOCALHOST", "localhost.", "a.localhost", "printer.local", "metadata.google.internal", "nas.home.arpa"];

describe("the outbound guard", () => {
  it.each([...LITERALS, ...LOCAL_NAMES, "mixed.example", "metadata.example", "mapped.example", "METADATA.example."])(
    "refuses %s",
    async (host) => {
      expect(await guard().check(`wss://${host}/x`, "websocket")).toBe("forbidden");
      expect(await guard().check(`https://${host}:8443/x`, "http-polling")).toBe("forbidden");
    },
  );

  it.each([
    "93.184.215.14",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.0",
    "172.32.0.1",
    "[2606:4700::1111]",
    "public.example",
    "PUBLIC.example.",
  ])("lets %s through, on any port", async (host) => {
    expect(await guard().check(`ws://${host}:12345/x`, "websocket")).toBe("ok");
  });

  it.each([
    ["no url", "websocket"],
    ["", "websocket"],
    ["https://public.example", "websocket"],
    ["ws://public.example", "http-polling"],
    ["file:///etc/passwd", "http-polling"],
    ["gopher://public.example", "socketio"],
    ["ws+unix:///tmp/x.sock", "websocket"],
    ["wss://user:secret@public.example", "websocket"],
    ["wss://", "websocket"],
    ["wss://999.999.999.999/", "websocket"],
  ] as const)("says that %j is no URL for %s", async (url, type) => {
    expect(await guard().check(url, type)).toBe("invalid");
  });

  it("answers connections with the checked addresses only, whatever a second resolution would say (rebinding)", async () => {
    let asked = 0;
    const resolve = (): Promise<string[]> => Promise.resolve(asked++ === 0 ? ["93.184.215.14"] : ["127.0.0.1"]);
    const target = await guard({ resolve }).resolve("wss://rebind.example/", "websocket");
    const answers = await new Promise((done) => target.lookup("rebind.example", { all: true }, (error, found) => done([error, found])));
    expect(answers).toEqual([null, [{ address: "93.184.215.14", family: 4 }]]);
    const single = await new Promise((done) => target.lookup("other.example", {}, (_error, address, family) => done([address, family])));
    expect(single).toEqual(["93.184.215.14", 4]);
    const none = await new Promise((done) => target.lookup("x", { family: 6 }, (error) => done(error)));
    expect(none).toBeInstanceOf(Unresolvable);
    expect(asked).toBe(1);
    // The next connect asks again and is refused.
    await expect(guard({ resolve }).resolve("wss://rebind.example/", "websocket")).rejects.toBeInstanceOf(OutboundRefused);
  });

  it("knows a host that does not resolve from one that is refused", async () => {
    await expect(guard().resolve("wss://gone.example/", "websocket")).rejects.toBeInstanceOf(Unresolvable);
    expect(await guard().check("wss://gone.example/", "websocket")).toBe("ok");
  });

  it("makes exceptions for an exact host and port, and for everything when told so", async () => {
    const exact = guard({ allowedHosts: ["127.0.0.1:7411", "localhost:443"] });
    expect(await exact.check("ws://127.0.0.1:7411/x", "websocket")).toBe("ok");
    expect(await exact.check("ws://0x7f.1:7411/x", "websocket")).toBe("ok");
    expect(await exact.check("wss://localhost/", "websocket")).toBe("ok");
    expect(await exact.check("ws://127.0.0.1:7412/x", "websocket")).toBe("forbidden");
    expect(await exact.check("ws://127.0.0.2:7411/x", "websocket")).toBe("forbidden");
    expect(await guard({ allowPrivate: true }).check("http://10.0.0.1/", "http-polling")).toBe("ok");
  });

  it("drops the fragment", async () => {
    expect((await guard().resolve("wss://public.example/a?b=1#c", "websocket")).url.href).toBe("wss://public.example/a?b=1");
  });
});

describe("isPublicAddress", () => {
  it.each(["", "x", "1.2.3", "::g", "fe80::1%eth0"])("is false for %j", (text) => {
    expect(isPublicAddress(text)).toBe(false);
  });
});
