import { expect, it } from "vitest";
import { judgeUrl } from "./outbound-url.ts";

it.each([
  "wss://ws-feed.exchange.coinbase.com", "wss://stream.binance.com:9443/ws/!ticker@arr", "ws://8.8.8.8/x", "wss://[2606:4700::1111]/", "ws://172.32.0.1", "ws://100.128.0.1",
])("lets %s pass", (url) => expect(judgeUrl(url, "websocket")).toBe("ok")); // biome-ignore format: one list

it.each([
  "ws://127.0.0.1", "ws://0x7f.1", "ws://2130706433", "ws://127.1:80", "ws://0.0.0.0", "ws://10.1.2.3", "ws://172.16.0.1", "ws://172.31.255.255", "ws://192.168.1.1",
  "ws://169.254.169.254/latest/meta-data", "ws://100.64.0.1", "ws://224.0.0.1", "ws://255.255.255.255", "ws://[::1]", "ws://[::]", "ws://[::ffff:127.0.0.1]",
  "ws://[fe80::1]", "ws://[fd00::1]", "ws://[ff02::1]", "ws://[64:ff9b::7f00:1]", "ws://[2001:db8::1]", "ws://[2002:7f00:1::]", "ws://localhost", "ws://LOCALHOST.",
  "ws://a.localhost", "ws://printer.local", "ws://db.internal", "ws://intranet",
])("forbids %s", (url) => expect(judgeUrl(url, "websocket")).toBe("forbidden")); // biome-ignore format: one list

it.each([
  "",
  "nowhere",
  "//a.example.com",
  "wss://",
  "ftp://a.example.com",
  "https://a.example.com",
  "javascript:alert(1)",
  "ws://u:p@a.example.com",
  "ws://u@a.example.com",
  "ws://a.example.com:99999",
])("%s is none", (url) => expect(judgeUrl(url, "websocket")).toBe("invalid"));

it("asks each connection for its own scheme", () => {
  expect(judgeUrl("https://a.example.com", "http-polling")).toBe("ok");
  expect(judgeUrl("wss://a.example.com", "http-polling")).toBe("invalid");
  for (const scheme of ["ws", "wss", "http", "https"]) expect(judgeUrl(`${scheme}://a.example.com`, "socketio")).toBe("ok");
  expect(judgeUrl("https://a.example.com", "protobuf")).toBe("invalid");
});
