/** Why a WebSocket was refused: its HTTP answer, which the WebSocket API hides. Tests: commands/system.int.test.ts. */
import { randomBytes } from "node:crypto";
import http from "node:http";
import https from "node:https";
import { isObject } from "../system/run-file.ts";

export interface HandshakeRefusal {
  status: number;
  /** `plan_upgrade_required: …`, or the status text. */
  message: string;
}

const TIMEOUT_MS = 5_000;
const MAX_BODY = 16_384;

/** Opens once more with a plain request. undefined: it was accepted this time, or nobody answered. */
export function askWhyRefused(url: URL, headers: Record<string, string>): Promise<HandshakeRefusal | undefined> {
  const target = new URL(url);
  target.protocol = url.protocol === "wss:" ? "https:" : "http:";
  return new Promise((resolve) => {
    const request = (target.protocol === "https:" ? https : http).request(target, {
      headers: {
        ...headers,
        Connection: "Upgrade",
        Upgrade: "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": randomBytes(16).toString("base64"),
      },
      timeout: TIMEOUT_MS,
    });
    request.on("upgrade", (_answer, socket) => {
      socket.destroy();
      resolve(undefined);
    });
    request.on("response", (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (chunk: string) => {
        if (text.length < MAX_BODY) text += chunk;
      });
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, message: messageOf(text, answer.statusMessage ?? "") }));
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(undefined));
    request.end();
  });
}

function messageOf(text: string, fallback: string): string {
  try {
    const body: unknown = JSON.parse(text);
    if (isObject(body) && typeof body["error"] === "string") return `${body["error"]}: ${String(body["message"] ?? "")}`;
  } catch {
    return fallback; // a proxy's page, not our envelope
  }
  return fallback;
}
