/**
 * API keys of an account: `/api/auth/api-keys` (`ts_live_`, scopes of the socket) and `/v1/keys` (every prefix and scope that the plan
 * includes). A key is shown once. Tests: ../account-keys.int.test.ts.
 */
import { ApiError, type ApiShell, sessionOf } from "@headwater/api-http";
import {
  type AccountErrorCode,
  type ApiKey,
  CreateApiKeyRequest,
  CreateKeyRequest,
  invalidScopeMessage,
  isObjectId,
  KeyRecord,
  SCOPES,
  WEBSOCKET_SCOPES,
} from "@headwater/protocol";
import type { Request } from "express";
import type { z } from "zod";
import { scopesOutsidePlan } from "../domain/account-rules.ts";
import { DEFAULT_PREFIX } from "../domain/commands.ts";
import type { KeyRow, NewAccountKey } from "./account-key-store.ts";
import { type AccountPorts, refusal } from "./account-ports.ts";
import { isDatabaseAway } from "./transaction.ts";

const CREATED = "API key created successfully. Store this key securely - it will not be shown again.";
/** Prefix of the keys that the contract's own routes make. */
const SOCKET_PREFIX = "ts_live_";

export function keyRoutes({ routes, session, json }: ApiShell, ports: AccountPorts): void {
  const create = async (req: Request, command: NewAccountKey): Promise<{ key: string; row: KeyRow }> => {
    const { userId, tenantId, limits } = sessionOf(req);
    const made = await orFail(ports, "KEY_NOT_MADE", () => ports.keys.create({ userId, tenantId, maxKeys: limits.apiKeys }, command));
    if (!made.ok) throw refusal(made.code);
    await ports.applied({ key: made.stored, revokedKeys: made.retired });
    ports.log.info({ userId, keyId: made.row.id }, "auth.key_created");
    return made;
  };
  const list = (req: Request): Promise<KeyRow[]> => orFail(ports, "KEYS_NOT_READ", () => ports.keys.list(sessionOf(req).tenantId));
  const revoke = async (req: Request, id: string): Promise<void> => {
    const revoked = await orFail(ports, "KEY_NOT_REVOKED", () => ports.keys.revoke(sessionOf(req).tenantId, id));
    if (!revoked) throw refusal("KEY_NOT_FOUND");
    await ports.applied({ revokedKeys: [revoked] });
    ports.log.info({ userId: sessionOf(req).userId, keyId: id }, "auth.key_revoked");
  };

  routes.post("/api/auth/api-keys", session, json, async (req, res) => {
    const given = parsed(CreateApiKeyRequest, req.body, WEBSOCKET_SCOPES);
    const { key, row } = await create(req, {
      name: given.name.trim(),
      scopes: [...new Set(given.scopes)],
      expiresAt: futureOf(given.expiresAt, ports.now()),
      prefix: SOCKET_PREFIX,
      // Works wherever the socket does; its domains are not restricted.
      type: "server",
      domains: [],
    });
    res.status(201).json({ success: true, message: CREATED, apiKey: viewOf(row), key });
  });
  routes.get("/api/auth/api-keys", session, async (req, res) => {
    const { userId } = sessionOf(req);
    const rows = (await list(req)).filter((row) => row.userId === userId && prefixOf(row) === SOCKET_PREFIX);
    res.json({ success: true, apiKeys: rows.map(viewOf) });
  });
  routes.delete("/api/auth/api-keys/:id", session, async (req, res) => {
    const id = req.params["id"];
    if (!isObjectId(id)) throw refusal("INVALID_KEY_ID");
    await revoke(req, id);
    res.json({ success: true, message: "API key revoked successfully" });
  });

  routes.post("/v1/keys", session, json, async (req, res) => {
    const given = parsed(CreateKeyRequest, req.body, SCOPES);
    const { plan, limits } = sessionOf(req);
    const [outside] = scopesOutsidePlan(given.scopes, limits);
    if (outside !== undefined) {
      throw new ApiError("PLAN_UPGRADE_REQUIRED", { status: 403, message: `scope ${outside} is not part of the plan ${plan}` });
    }
    const { key, row } = await create(req, {
      name: given.name.trim(),
      scopes: [...new Set(given.scopes)],
      expiresAt: futureOf(given.expiresAt, ports.now()),
      prefix: given.prefix ?? DEFAULT_PREFIX,
      type: given.type ?? "browser",
      domains: given.domains ?? [],
    });
    res.status(201).json({ success: true, message: CREATED, apiKey: viewWithType(row), key });
  });
  routes.get("/v1/keys", session, async (req, res) => void res.json({ success: true, apiKeys: (await list(req)).map(viewWithType) }));
  routes.delete("/v1/keys/:id", session, async (req, res) => {
    const id = req.params["id"];
    // Keys made by an operator have ids of another form.
    if (typeof id !== "string" || !/^[A-Za-z0-9_]{1,64}$/.test(id)) throw refusal("INVALID_KEY_ID");
    await revoke(req, id);
    res.json({ success: true, message: "API key revoked successfully" });
  });
}

/** The contract's messages out of what the schema found. */
function parsed<S extends z.ZodType<{ name: string; scopes: unknown[] }>>(schema: S, body: unknown, valid: readonly string[]): z.infer<S> {
  const found = schema.safeParse(body);
  // A name of blanks alone is none.
  if (found.success && found.data.name.trim() === "") throw refusal("KEY_FIELDS_REQUIRED");
  if (found.success) return found.data;
  // The body is an object: the shell's reader saw to that.
  const { name, scopes } = body as { name?: unknown; scopes?: unknown };
  if (typeof name !== "string" || name.trim() === "" || !Array.isArray(scopes) || scopes.length === 0) throw refusal("KEY_FIELDS_REQUIRED");
  if (name.length > 100) throw refusal("KEY_NAME_TOO_LONG");
  const wrong: unknown = scopes.find((scope) => !valid.includes(String(scope)) || typeof scope !== "string");
  if (typeof wrong === "string") throw new ApiError("INVALID_SCOPE", { status: 400, message: invalidScopeMessage(wrong, valid) });
  if (wrong !== undefined) throw refusal("KEY_FIELDS_REQUIRED");
  throw new ApiError("INVALID_PAYLOAD");
}

/** @throws ApiError for something that is no time to come. */
function futureOf(text: string | undefined, nowMs: number): Date | null {
  if (text === undefined) return null;
  // RFC 3339 only: Date.parse alone takes a lot more, and reads it by the zone of the machine.
  const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;
  if (!(at > nowMs)) throw refusal("KEY_EXPIRY_INVALID");
  return new Date(at);
}

/** Failures that no client can do anything about have a message of their own on these routes. */
async function orFail<T>(ports: AccountPorts, code: AccountErrorCode, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isDatabaseAway(error)) throw error;
    ports.log.error({ err: error }, "auth.key_store_failed");
    throw refusal(code);
  }
}

function prefixOf(row: KeyRow): string {
  // Prefix, four characters, an ellipsis.
  return row.hint.slice(0, -5);
}

function viewOf(row: KeyRow): ApiKey {
  return {
    _id: row.id,
    name: row.name,
    prefix: prefixOf(row),
    lastChars: row.lastChars,
    scopes: row.scopes,
    isActive: row.revokedAt === null,
    createdAt: row.createdAt.toISOString(),
    ...(row.expiresAt ? { expiresAt: row.expiresAt.toISOString() } : {}),
    ...(row.lastUsedAt ? { lastUsedAt: row.lastUsedAt.toISOString() } : {}),
  };
}

function viewWithType(row: KeyRow): ApiKey {
  return { ...viewOf(row), type: KeyRecord.shape.type.parse(row.type), domains: row.domains };
}
