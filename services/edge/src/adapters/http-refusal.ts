/** A refused handshake as an HTTP answer, on a response or on the bare socket of an upgrade request. Tests: handshake.int.test.ts. */
import { STATUS_CODES, type IncomingMessage, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { ERRORS } from "@headwater/protocol";
import { requestIdOf } from "@headwater/runtime";
import type { Refusal } from "../domain/handshake.ts";
import type { Surface } from "../surface.ts";

type Envelope = Surface["envelope"];

export function refusalBody(refusal: Refusal, envelope: Envelope): string {
  const { code, fields } = refusal;
  if (envelope === "api") {
    return JSON.stringify({ success: false, message: refusal.message ?? ERRORS[code].message, code: code.toUpperCase(), ...fields });
  }
  if (fields && "message" in fields) return JSON.stringify({ error: code, ...fields });
  return JSON.stringify({ error: code, message: refusal.message ?? ERRORS[code].message, ...fields });
}

function headersOf(req: IncomingMessage, refusal: Refusal, body: string): Record<string, string> {
  return {
    "Content-Type": "application/json; charset=utf-8",
    "Content-Length": String(Buffer.byteLength(body)),
    "Cache-Control": "no-store",
    "X-Request-Id": requestIdOf(req),
    ...refusal.headers,
  };
}

export function answerRefusal(req: IncomingMessage, res: ServerResponse, refusal: Refusal, envelope: Envelope): void {
  const body = refusalBody(refusal, envelope);
  res.writeHead(ERRORS[refusal.code].status, headersOf(req, refusal, body));
  res.end(body);
}

export function refuseUpgrade(req: IncomingMessage, socket: Duplex, refusal: Refusal, envelope: Envelope = "signals"): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const { status } = ERRORS[refusal.code];
  const body = refusalBody(refusal, envelope);
  const headers = { Connection: "close", ...headersOf(req, refusal, body) };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  socket.once("finish", () => socket.destroy());
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Error"}\r\n${lines.join("\r\n")}\r\n\r\n${body}`);
}
