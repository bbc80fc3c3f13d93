/**
 * `svc.routing.auto-analysis`: intelligence tells that the owner of a plain feed turned its automatic analysis on or off (`toggle-auto-analysis`
 * of `/ws`). Stored with the feed and told to everybody through its record. Tests: ../auto-analysis.int.test.ts.
 */
import { RpcError, type RpcHandler } from "@headwater/messaging";
import { isDatabaseAway } from "@headwater/postgres";
import { API_ERRORS, AutoAnalysisRequest, type AutoAnalysisAnswer, SOCKET_ERRORS } from "@headwater/protocol";
import type { FeedContent } from "../domain/feed-content.ts";
import type { MarketplacePorts } from "./marketplace-ports.ts";

/** Resolves after the change is stored. Refusals: `feed_not_found` 404, `forbidden` 403 (seen, but somebody else's), `invalid_request` 400. */
export function autoAnalysisHandler({ feeds, applied }: Pick<MarketplacePorts, "feeds" | "applied">): RpcHandler {
  return async (payload): Promise<AutoAnalysisAnswer> => {
    const request = AutoAnalysisRequest.safeParse(payload);
    if (!request.success) throw new RpcError("invalid_request", API_ERRORS.INVALID_PAYLOAD.message, 400);
    const { tenantId, feedId, enabled } = request.data;
    try {
      const result = await feeds.update(feedId, tenantId, (content) => ({ ok: true, content: withAnalysis(content, enabled) }));
      // The change itself refuses nothing: what is left is whose feed it is.
      if (!result.ok && result.code === "foreign") throw new RpcError("forbidden", SOCKET_ERRORS.forbidden, 403);
      if (!result.ok) throw new RpcError("feed_not_found", SOCKET_ERRORS.feed_not_found, 404);
    } catch (error) {
      if (!isDatabaseAway(error)) throw error;
      throw new RpcError("unavailable", API_ERRORS.SERVICE_UNAVAILABLE.message, 503);
    }
    await applied();
    return { feedId, enabled };
  };
}

function withAnalysis(content: FeedContent, enabled: boolean): FeedContent {
  const { aiAnalysisEnabled: _before, ...settings } = content.settings;
  return { ...content, settings: enabled ? { ...settings, aiAnalysisEnabled: true } : settings };
}
