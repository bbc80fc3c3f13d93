/** `/api/settings/user/secrets`: names go out, values only come in. Tests: ../marketplace-secrets.int.test.ts. */
import { ApiError, type ApiShell, sessionOf } from "@headwater/api-http";
import { PutSecretRequest, UserSecret } from "@headwater/protocol";
import type { Request } from "express";
import { type MarketplacePorts, param, parseBody, refusal, refusedInput } from "./marketplace-ports.ts";

const SECRETS = "/api/settings/user/secrets";

export function secretRoutes({ routes, session, json }: ApiShell, ports: Pick<MarketplacePorts, "secrets" | "applied" | "log">): void {
  routes.get(SECRETS, session, async (req, res) => {
    const data = await ports.secrets.list(sessionOf(req).userId);
    res.json({ success: true, data, count: data.length });
  });

  routes.put(`${SECRETS}/:name`, session, json, async (req, res) => {
    const { value } = parseBody(PutSecretRequest, req.body);
    const name = nameIn(req);
    if (name === undefined) throw new ApiError("INVALID_PAYLOAD");
    const { userId } = sessionOf(req);
    const set = await ports.secrets.set(userId, name, value);
    if (!set.ok) throw "message" in set ? refusedInput(set) : refusal("SECRET_LIMIT_REACHED");
    if (set.feeds > 0) await ports.applied();
    ports.log.info({ userId, feeds: set.feeds }, "routing.secret_set");
    res.json({ success: true, data: set.secret });
  });

  routes.delete(`${SECRETS}/:name`, session, async (req, res) => {
    const name = nameIn(req);
    const { userId } = sessionOf(req);
    const removed = name === undefined ? "missing" : await ports.secrets.remove(userId, name);
    if (removed === "missing") throw refusal("SECRET_NOT_FOUND");
    if (removed === "used") throw refusal("SECRET_IN_USE");
    ports.log.info({ userId }, "routing.secret_deleted");
    res.json({ success: true });
  });
}

/** Undefined: no secret can have it. */
function nameIn(req: Request): string | undefined {
  const name = UserSecret.shape.name.safeParse(param(req, "name"));
  return name.success ? name.data : undefined;
}
