/**
 * Request limits per client, shared by all instances: with a valid login token per account, else per address (IPv6: per /64, which is what
 * one customer has). Tests: client-limits.test.ts.
 */
import type { SharedLimiter, TokenRate } from "@headwater/messaging";
import type { Request, RequestHandler } from "express";
import ipaddr from "ipaddr.js";
import { ApiError } from "./api-error.ts";
import { maybeSessionOf } from "./session.ts";

/** A limit for some paths, beside the general one. */
export interface RouteLimit {
  /** Part of the bucket's key. */
  name: string;
  /** @param path without query and trailing slash. */
  matches(path: string): boolean;
  rate: TokenRate;
  /** `address`: also with a login token. */
  by: "address" | "client";
}

export interface ClientLimitOptions {
  limiter: SharedLimiter;
  addressOf: (req: Request) => string;
  general: TokenRate;
  routes: readonly RouteLimit[];
}

export function createClientLimits(options: ClientLimitOptions): RequestHandler {
  const limits: RouteLimit[] = [{ name: "all", matches: () => true, rate: options.general, by: "client" }, ...options.routes];
  return async (req, _res, next) => {
    const path = req.path.length > 1 && req.path.endsWith("/") ? req.path.slice(0, -1) : req.path;
    const address = `a:${addressGroup(options.addressOf(req))}`;
    const user = maybeSessionOf(req)?.userId;
    const client = user === undefined ? address : `u:${user}`;
    const taken = await Promise.all(
      limits
        .filter((limit) => limit.matches(path))
        .map((limit) => options.limiter.take(`http:${limit.name}:${limit.by === "address" ? address : client}`, limit.rate)),
    );
    const retryAfterMs = Math.max(0, ...taken.map((one) => (one.ok ? 0 : one.retryAfterMs)));
    if (taken.every(({ ok }) => ok)) return next();
    throw new ApiError("RATE_LIMITED", {
      fields: { error: "too_many_requests" },
      headers: { "Retry-After": String(Math.max(1, Math.ceil(retryAfterMs / 1000))) },
    });
  };
}

/** `203.0.113.9`, `2001:db8:1:2::/64`. */
export function addressGroup(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (!(parsed instanceof ipaddr.IPv6)) return parsed.toString();
  const parts = [...parsed.parts.slice(0, 4), 0, 0, 0, 0];
  return `${new ipaddr.IPv6(parts).toString()}/64`;
}
