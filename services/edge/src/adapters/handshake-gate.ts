/**
 * Rows of the handshake table that are the same for every surface: method, guessing, room for one more socket. The surface's own rows come in
 * between. Plain requests and upgrades get the same decision. Tests: handshake.int.test.ts.
 */
import type { IncomingMessage } from "node:http";
import type { ErrorCode } from "@headwater/protocol";
import type { Clock, Logger } from "@headwater/runtime";
import type { Refusal } from "../domain/handshake.ts";
import type { Admission, HandshakeRequest, Surface } from "../surface.ts";
import type { Telemetry } from "../telemetry.ts";
import { HandshakeThrottle } from "./handshake-throttle.ts";
import type { QueueBudget } from "./queue-budget.ts";

export interface GateLimits {
  maxFailedHandshakesPerMinute: number;
  /** Loopback is not counted: local tools and load generators. */
  maxSocketsPerAddress: number;
  maxSockets: number;
}

export interface HandshakeGateOptions {
  limits: GateLimits;
  budget: QueueBudget;
  clock: Clock;
  log: Logger;
  telemetry: Telemetry;
  clientAddress: (req: IncomingMessage) => string;
  clientScheme: (req: IncomingMessage) => "http" | "https";
  socketCount: () => number;
  isDraining: () => boolean;
}

const WRONG_CREDENTIAL: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["invalid_api_key", "expired_token"]);

export class HandshakeGate {
  readonly #o: HandshakeGateOptions;
  readonly #throttle: HandshakeThrottle;
  readonly #perAddress = new Map<string, number>();

  constructor(options: HandshakeGateOptions) {
    this.#o = options;
    this.#throttle = new HandshakeThrottle(options.limits.maxFailedHandshakesPerMinute, () => options.clock.monotonicMs());
  }

  /** Never rejects. */
  async decide(surface: Surface, req: IncomingMessage, isUpgrade: boolean): Promise<Admission> {
    const refuse = (refusal: Refusal): Admission => {
      this.#o.telemetry.handshakeRefused(surface.name, refusal.code);
      return { ok: false, refusal };
    };
    if (req.method !== "GET") return refuse({ code: "method_not_allowed", headers: { Allow: "GET" } });
    const address = this.#o.clientAddress(req);
    const waitSeconds = this.#throttle.retryAfterSeconds(address);
    if (waitSeconds > 0) {
      return refuse({
        code: "rate_limit_exceeded",
        message: "Too many failed handshakes from this address",
        headers: {
          "Retry-After": String(waitSeconds),
          "X-RateLimit-Limit": String(this.#o.limits.maxFailedHandshakesPerMinute),
          "X-RateLimit-Remaining": "0",
          "X-RateLimit-Reset": String(Math.ceil(this.#o.clock.now() / 1000) + waitSeconds),
        },
      });
    }
    let admission: Admission;
    try {
      admission = await surface.admit(handshakeOf(req, isUpgrade, this.#o.clientScheme(req)));
    } catch (error) {
      this.#o.log.error({ err: error, surface: surface.name }, "handshake.failed");
      return refuse({ code: "internal" });
    }
    if (!admission.ok) {
      // Only what could be a guess counts: a caller without a key, or with a good key of a low plan, must not lock out its neighbours.
      if (WRONG_CREDENTIAL.has(admission.refusal.code)) this.#throttle.failed(address);
      return refuse(admission.refusal);
    }
    const unavailable = this.#noRoomFor(address);
    if (unavailable === undefined) return admission;
    admission.abandon();
    return refuse(unavailable);
  }

  #noRoomFor(address: string): Refusal | undefined {
    const { maxSocketsPerAddress: limit, maxSockets } = this.#o.limits;
    const current = this.#perAddress.get(address) ?? 0;
    if (current >= limit && !isLoopback(address)) {
      const message = `At most ${limit} sockets from one address`;
      return { code: "too_many_connections", fields: { limit, current, message }, headers: { "Retry-After": "5" } };
    }
    if (this.#o.isDraining()) return { code: "draining", headers: { "Retry-After": "1" } };
    if (this.#o.budget.isNearlyFull || this.#o.socketCount() >= maxSockets) return { code: "overloaded", headers: { "Retry-After": "5" } };
    return undefined;
  }

  /** Keeps count of open sockets per address. */
  countAddress(address: string, change: 1 | -1): void {
    const count = (this.#perAddress.get(address) ?? 0) + change;
    if (count > 0) this.#perAddress.set(address, count);
    else this.#perAddress.delete(address);
  }
}

function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.");
}

function handshakeOf(req: IncomingMessage, isUpgrade: boolean, scheme: "http" | "https"): HandshakeRequest {
  const url = req.url ?? "/";
  const question = url.indexOf("?");
  const header = (name: string): string | undefined => {
    const value = req.headers[name];
    return Array.isArray(value) ? value[0] : value;
  };
  return {
    query: new URLSearchParams(question === -1 ? "" : url.slice(question + 1)),
    subprotocols: (header("sec-websocket-protocol") ?? "")
      .split(",")
      .map((item) => item.trim())
      .filter((item) => item !== ""),
    header,
    isUpgrade: isUpgrade && header("upgrade")?.toLowerCase() === "websocket",
    host: header("host") ?? "localhost",
    scheme,
  };
}
