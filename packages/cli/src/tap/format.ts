/** One event as one line: columns for people, JSON for programs. Pure. Tests: decode.test.ts. */
import { printable } from "../output.ts";
import { isObject } from "../system/run-file.ts";
import type { TapEvent } from "./decode.ts";

/** @param tenantName slug of an id, undefined when unknown. */
export function eventLine(event: TapEvent, tenantName: (id: string) => string | undefined): string {
  const tenant = event.tenantId === undefined ? "-" : (tenantName(event.tenantId) ?? event.tenantId);
  const parts = [
    new Date(event.timeMs).toISOString().slice(11, 23),
    `${event.subject} #${event.seq}`.padEnd(18),
    tenant.padEnd(10),
    (event.type ?? event.kind).padEnd(9),
    event.visitorId ?? "",
    event.feedId ?? "",
    event.topic ?? "",
    event.page ?? "",
    detail(event),
  ];
  return `${printable(parts.filter((part) => part !== "").join("  "))}\n`;
}

/** One JSON object and a newline. */
export function eventJson(event: TapEvent, tenantName: (id: string) => string | undefined): string {
  const { timeMs, tenantId, ...rest } = event;
  const tenant = tenantId === undefined ? {} : { tenantId, tenant: tenantName(tenantId) ?? null };
  return `${JSON.stringify({ time: new Date(timeMs).toISOString(), ...tenant, ...rest })}\n`;
}

function detail(event: TapEvent): string {
  const { body } = event;
  if (event.kind === "undecodable") return `cannot be decoded: ${event.problem ?? ""}`;
  if (!isObject(body)) return "";
  if (event.kind === "labeled") {
    const bot = isObject(body["bot"]) ? body["bot"] : {};
    const scores = isObject(body["scores"]) ? body["scores"] : undefined;
    const name = bot["name"] ?? bot["category"];
    const verdict = `${event.class ?? "?"}${typeof name === "string" ? ` (${name})` : ""}`;
    const shown = ["intent", "frustration", "engagement"].map((score) => `${score}=${String(scores?.[score])}`).join(" ");
    return scores ? `${verdict}  ${shown}` : verdict;
  }
  if (event.kind === "registry") return `${event.subject.split(".").slice(1).join(".")} ${JSON.stringify(body["data"] ?? null)}`;
  if (event.kind === "feed_message") return JSON.stringify(body["j"] ?? body["x"] ?? body["s"] ?? null);
  if (event.kind === "feed_frame") {
    const payload = isObject(body["payload"]) ? body["payload"] : {};
    return JSON.stringify(payload["data"] ?? payload["analysis"] ?? payload["answer"] ?? payload["status"] ?? payload["error"] ?? null);
  }
  if (event.kind === "socket_session") return JSON.stringify(body["feeds"] ?? null);
  if (event.kind === "dead_letter") return JSON.stringify(body["origin"] ?? null);
  return event.kind === "privacy" ? JSON.stringify(body) : "";
}
