/** Security headers and CORS of every `/api/*` answer. Tests: shell.test.ts. */
import type { IncomingMessage } from "node:http";
import cors from "cors";
import type { RequestHandler } from "express";
import helmet from "helmet";

/** Nothing of this surface needs a sensor, a camera or a payment. */
const PERMISSIONS_POLICY = [
  "accelerometer", "ambient-light-sensor", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer", "microphone", "midi", "payment", "usb",
].map((name) => `${name}=()`).join(", "); // biome-ignore format: one list

const TWELVE_HOURS_S = 43_200;

/** @param schemeOf HSTS is said only to those who came by HTTPS. */
export function securityHeaders(schemeOf: (req: IncomingMessage) => "http" | "https"): RequestHandler[] {
  const base = helmet({
    // Answers are data: whatever a browser is made to think they are, it loads and runs nothing.
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { "default-src": ["'none'"], "frame-ancestors": ["'none'"], "base-uri": ["'none'"] },
    },
    frameguard: { action: "deny" },
    referrerPolicy: { policy: "strict-origin-when-cross-origin" },
    strictTransportSecurity: false,
  });
  const overHttps = helmet.strictTransportSecurity();
  return [
    base,
    (req, res, next) => {
      res.setHeader("Permissions-Policy", PERMISSIONS_POLICY);
      const isPrivate =
        (req.method !== "GET" && req.method !== "HEAD") || req.headers.authorization !== undefined || req.path.startsWith("/api/auth/");
      if (isPrivate) res.setHeader("Cache-Control", "no-store");
      if (schemeOf(req) === "https") overHttps(req, res, next);
      else next();
    },
  ];
}

/** Answers preflights itself; a foreign origin gets no permission, and its browser keeps the answer from it. */
export function crossOrigin(origins: readonly string[]): RequestHandler {
  const isAny = origins.includes("*");
  return cors({
    origin: isAny ? "*" : [...origins],
    credentials: !isAny,
    methods: ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
    allowedHeaders: ["Origin", "Content-Type", "Authorization"],
    exposedHeaders: ["X-Request-Id", "Retry-After"],
    maxAge: TWELVE_HOURS_S,
  });
}
