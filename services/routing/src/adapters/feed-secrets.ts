/** Upstream credentials of a feed, sealed for the database and the registry. Tests: feed-secrets.test.ts. */
import { FeedSecrets, type SealedBox } from "@headwater/protocol";
import { CannotUnseal, type Logger, type Sealer } from "@headwater/runtime";
import { EMPTY_SECRETS } from "../domain/feed-content.ts";

export interface FeedVault {
  /** Undefined when there is nothing to keep. */
  seal(feedId: string, secrets: FeedSecrets): SealedBox | undefined;
  /** What cannot be opened any more (ENCRYPTION_KEY is another one) is empty, and logged: its owner can set it again. */
  open(feedId: string, sealed: SealedBox | undefined): FeedSecrets;
}

export function createFeedVault(sealer: Sealer, log: Logger): FeedVault {
  const contextOf = (feedId: string): string => `feed:${feedId}`;
  return {
    seal(feedId, secrets) {
      const text = JSON.stringify(secrets);
      return text === JSON.stringify(EMPTY_SECRETS) ? undefined : sealer.seal(text, contextOf(feedId));
    },
    open(feedId, sealed) {
      if (sealed === undefined) return EMPTY_SECRETS;
      try {
        return FeedSecrets.parse(JSON.parse(sealer.unseal(sealed, contextOf(feedId))));
      } catch (error) {
        if (!(error instanceof CannotUnseal)) throw error;
        log.error({ err: error, feedId }, "routing.feed_secrets_unreadable");
        return EMPTY_SECRETS;
      }
    },
  };
}
