/**
 * The operator API behind `headwater keys|tenants|rebuild`: `/admin/v1/*` with the admin token. Without the token every path answers the same 401,
 * so nothing about tenants can be learned. Tests: ../service.int.test.ts.
 */
import type { KeyRecord, SiteRecord, TenantRecord } from "@headwater/protocol";
import { requestIdOf, sendError } from "@headwater/runtime";
import express, { type NextFunction, type Request, type Response, Router } from "express";
import { z } from "zod";
import { CreateKey, CreateTenant, PutSite, SetPlan, Slug } from "../domain/commands.ts";
import { type AuthStore, type CreatedKey, StoreRefusal } from "./auth-store.ts";
import { sameSecret } from "./secrets.ts";
import { isDatabaseAway } from "./transaction.ts";

export interface AdminPorts {
  store: AuthStore;
  adminToken: string;
  /** Tells the registry what it should hold and does not. @returns how many facts. */
  rebuildRegistry(): Promise<number>;
  /** Called after each committed change, before the answer: memory and registry follow. */
  applied(change: { tenant?: TenantRecord; site?: SiteRecord; created?: CreatedKey; revoked?: KeyRecord }): Promise<void>;
}

const MAX_BODY = "64kb";
const KeyOrId = z.string().regex(/^[A-Za-z0-9_-]{1,256}$/, "an id, a key or its SHA-256");

export function adminRoutes(ports: AdminPorts): Router {
  const admin = Router({ caseSensitive: true });
  admin.use((req, res, next) => {
    res.setHeader("X-Request-Id", requestIdOf(req));
    res.setHeader("Cache-Control", "no-store");
    const token = /^Bearer\s+(\S+)$/i.exec(req.headers.authorization ?? "")?.[1] ?? "";
    if (sameSecret(token, ports.adminToken)) next();
    else sendError(res, token === "" ? "missing_api_key" : "invalid_api_key", { message: "The operator's token is required" });
  });
  admin.use(express.json({ limit: MAX_BODY, strict: true }));

  admin.get("/v1/tenants", async (_req, res) => void res.json({ tenants: await ports.store.listTenants() }));
  admin.post("/v1/tenants", async (req, res) => {
    const made = await ports.store.createTenant(CreateTenant.parse(req.body));
    await ports.applied(made);
    res.status(201).json(made.tenant);
  });
  admin.put("/v1/tenants/:slug/plan", async (req, res) => {
    const tenant = await ports.store.setPlan(Slug.parse(req.params.slug), SetPlan.parse(req.body));
    await ports.applied({ tenant });
    res.json(tenant);
  });
  admin.put("/v1/tenants/:slug/sites/:site", async (req, res) => {
    const site = await ports.store.putSite(Slug.parse(req.params.slug), Slug.parse(req.params.site), PutSite.parse(req.body));
    await ports.applied({ site });
    res.json(site);
  });
  admin.get("/v1/keys", async (req, res) => void res.json({ keys: await ports.store.listKeys(Slug.parse(req.query["tenant"])) }));
  admin.post("/v1/keys", async (req, res) => {
    const created = await ports.store.createKey(CreateKey.parse(req.body));
    await ports.applied({ created });
    const { record } = created.stored;
    res.status(201).json({ key: created.key, ...record, tenant: created.tenant.slug, plan: created.tenant.plan });
  });
  admin.delete("/v1/keys/:keyOrId", async (req, res) => {
    const revoked = await ports.store.revokeKey(KeyOrId.parse(req.params.keyOrId));
    await ports.applied({ revoked });
    res.json(revoked);
  });
  admin.post("/v1/rebuild/registry", async (_req, res) => void res.json({ restated: await ports.rebuildRegistry() }));
  admin.use((_req, res) => sendError(res, "not_found"));
  admin.use((error: unknown, _req: Request, res: Response, next: NextFunction) => {
    if (error instanceof z.ZodError) {
      const problems = error.issues.map((issue) => ({ path: issue.path.join("."), message: issue.message }));
      return sendError(res, "invalid_request", { fields: { problems } });
    }
    if (error instanceof StoreRefusal) return sendError(res, error.code, { message: error.message });
    if (isDatabaseAway(error)) return sendError(res, "overloaded", { headers: { "Retry-After": "2" } });
    const status = typeof error === "object" && error !== null && "status" in error ? error.status : undefined;
    if (status === 413) return sendError(res, "payload_too_large");
    if (status === 400) return sendError(res, "invalid_json");
    if (status === 415) return sendError(res, "unsupported_media_type");
    return next(error);
  });
  const router = Router({ caseSensitive: true });
  router.use("/admin", admin);
  return router;
}
