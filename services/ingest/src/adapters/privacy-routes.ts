/** `POST /v1/consent/receipt`, `GET /v1/consent/config`, `POST /v1/optout`, `DELETE /v1/optout/:visitorId`. Tests: privacy.int.test.ts. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { ConsentReceipt, OptOutRequest } from "@headwater/protocol";
import type { Clock } from "@headwater/runtime";
import type { z } from "zod";
import { consentCategories } from "../domain/consent.ts";
import { consentConfig } from "../domain/consent-config.ts";
import { visitorOfCookies } from "../domain/cookies.ts";
import { clip } from "../domain/text.ts";
import type { Limiter, Privacy } from "../ports.ts";
import { refuseIntake, refuseRate, setRateHeaders } from "./event-routes.ts";
import { type Entry, type Gate, header, type RouteRule } from "./gate.ts";
import { type BodyBudget, readJsonBody } from "./http-body.ts";

export interface PrivacyRouteOptions {
  gate: Gate;
  privacy: Privacy;
  limiter: Limiter;
  budget: BodyBudget;
  clock: Clock;
  newId(): string;
}

type Handler = (req: IncomingMessage, res: ServerResponse) => Promise<void>;

export function receiptHandler(options: PrivacyRouteOptions): Handler {
  const { gate } = options;
  return async (req, res) => {
    const ts = options.clock.now();
    const entry = await enterLimited(options, req, res, { method: "POST", queryKey: true });
    const receipt = entry && (await parsedBody(options, req, res, ConsentReceipt));
    if (!entry || !receipt) return;
    const visitorId = receipt.visitorId?.toWellFormed() ?? visitorOfCookies(req.headers.cookie);
    if (visitorId === undefined) return gate.refuse(res, "invalid_request", { message: "visitorId is required" });
    const gpc = receipt.gpc ?? (header(req, "sec-gpc") === "1" || undefined);
    try {
      await options.privacy.recordConsents(entry.credential.tenantId, [
        {
          visitorId,
          siteId: entry.site.id,
          ts,
          source: "receipt",
          state: consentCategories(receipt.consentState),
          ...(receipt.consentMethod === undefined ? {} : { method: clip(receipt.consentMethod, 64) }),
          ...(receipt.consentVersion === undefined ? {} : { version: clip(receipt.consentVersion, 64) }),
          ...(gpc === undefined ? {} : { gpc }),
        },
      ]);
    } catch (error) {
      return refuseIntake(gate, res, error);
    }
    sendJson(res, 202, { receiptId: options.newId(), recordedAt: ts });
  };
}

export function configHandler(options: PrivacyRouteOptions): Handler {
  return async (req, res) => {
    const entry = await enterLimited(options, req, res, { method: "GET", queryKey: true });
    if (!entry) return;
    res.setHeader("Cache-Control", "private, max-age=60");
    sendJson(res, 200, consentConfig(entry.site));
  };
}

export function optOutHandler(options: PrivacyRouteOptions): Handler {
  return async (req, res) => {
    const entry = await enterLimited(options, req, res, { method: "POST", queryKey: false });
    const request = entry && (await parsedBody(options, req, res, OptOutRequest));
    if (!entry || !request) return;
    await setOptOut(options, res, entry, request.visitorId.toWellFormed(), "optout");
  };
}

export function optInHandler(
  options: PrivacyRouteOptions,
): (req: IncomingMessage, res: ServerResponse, visitorId: string) => Promise<void> {
  return async (req, res, visitorId) => {
    const entry = await enterLimited(options, req, res, { method: "DELETE", queryKey: false });
    if (!entry) return;
    if (visitorId.length > 128) return options.gate.refuse(res, "invalid_request", { message: "visitorId is too long" });
    await setOptOut(options, res, entry, visitorId.toWellFormed(), "optin");
  };
}

async function setOptOut(options: PrivacyRouteOptions, res: ServerResponse, entry: Entry, visitorId: string, kind: "optout" | "optin") {
  try {
    await options.privacy.setOptOut(entry.credential.tenantId, visitorId, kind);
  } catch (error) {
    return refuseIntake(options.gate, res, error);
  }
  sendJson(res, 202, { visitorId, optedOut: kind === "optout" });
}

/** These requests count as one event each. */
async function enterLimited(
  options: PrivacyRouteOptions,
  req: IncomingMessage,
  res: ServerResponse,
  rule: RouteRule,
): Promise<Entry | undefined> {
  const entry = await options.gate.enter(req, res, rule);
  if (!entry) return undefined;
  const rate = options.limiter.take(entry.credential.keyId, entry.credential.limits.collectorEventsPerSecond, 1);
  setRateHeaders(res, rate);
  if (rate.ok) return entry;
  refuseRate(options.gate, res, rate.retryAfterS);
  return undefined;
}

async function parsedBody<S extends z.ZodType>(
  { gate, budget }: PrivacyRouteOptions,
  req: IncomingMessage,
  res: ServerResponse,
  schema: S,
): Promise<z.infer<S> | undefined> {
  const body = await readJsonBody(req, budget);
  if (!body.ok) return gate.refuseBody(res, body);
  const parsed = schema.safeParse(body.value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  return gate.refuse(res, "invalid_request", { message: `${issue?.path.join(".") || "body"}: ${issue?.message ?? "is not valid"}` });
}

function sendJson(res: ServerResponse, status: number, value: unknown): void {
  const body = JSON.stringify(value);
  res.writeHead(status, { "Content-Type": "application/json; charset=utf-8", "Content-Length": Buffer.byteLength(body) });
  res.end(body);
}
