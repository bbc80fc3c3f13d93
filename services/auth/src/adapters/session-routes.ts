/** `/api/auth/sessions` and `/api/auth/login-activity`: what of the account is logged in, and who tried. Tests: ../accounts.int.test.ts. */
import { type ApiShell, sessionOf } from "@headwater/api-http";
import { type ApiSession, isObjectId, type LoginActivity } from "@headwater/protocol";
import { describeUserAgent } from "../domain/user-agent.ts";
import { type AccountPorts, refusal } from "./account-ports.ts";
import type { ActivityRow, SessionRow } from "./session-store.ts";

const DEFAULT_ACTIVITIES = 10;
const MAX_ACTIVITIES = 100;

export function sessionRoutes({ routes, session }: ApiShell, ports: AccountPorts): void {
  routes.get("/api/auth/sessions", session, async (req, res) => {
    res.json({ success: true, sessions: (await ports.sessions.list(sessionOf(req).userId)).map(viewOfSession) });
  });

  routes.delete("/api/auth/sessions/:id", session, async (req, res) => {
    const id = req.params["id"];
    if (!isObjectId(id)) throw refusal("INVALID_SESSION_ID");
    const endedSessions = await ports.sessions.end(sessionOf(req).userId, id, "terminated");
    if (!endedSessions) throw refusal("SESSION_NOT_FOUND");
    await ports.applied({ endedSessions });
    res.json({ success: true });
  });

  routes.post("/api/auth/sessions/terminate-others", session, async (req, res) => {
    const { userId, sessionId } = sessionOf(req);
    const endedSessions = await ports.sessions.endOthers(userId, sessionId);
    await ports.applied({ endedSessions });
    res.json({ success: true, terminatedCount: endedSessions.length });
  });

  routes.get("/api/auth/login-activity", session, async (req, res) => {
    const asked = Number(req.query["limit"]);
    const limit = Number.isInteger(asked) && asked > 0 ? Math.min(asked, MAX_ACTIVITIES) : DEFAULT_ACTIVITIES;
    const rows = await ports.sessions.activity(sessionOf(req).userId, limit);
    res.json({ success: true, activities: rows.map(viewOfActivity) });
  });
}

function viewOfSession(row: SessionRow): ApiSession {
  return {
    _id: row.id,
    userId: row.userId,
    userAgent: describeUserAgent(row.userAgent),
    userAgentRaw: row.userAgent,
    ipAddress: row.ipAddress,
    createdAt: row.createdAt.toISOString(),
    lastActiveAt: row.lastActiveAt.toISOString(),
    isActive: row.revokedAt === null,
    deviceName: "web",
    deviceType: "browser",
  };
}

function viewOfActivity(row: ActivityRow): LoginActivity {
  return {
    _id: row.id,
    userId: row.userId,
    ipAddress: row.ipAddress,
    userAgent: row.userAgent,
    success: row.success,
    timestamp: row.at.toISOString(),
  };
}
