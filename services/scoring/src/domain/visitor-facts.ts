/** What a visitor's events say about the person rather than the session: kinds of identity, language, country. Tests: context.test.ts. */
import type { VisitEvent } from "@headwater/protocol";
import type { VisitorState } from "./visitor-state.ts";

const CUSTOMER_KEYS: readonly string[] = ["customerId", "accountId"];
const SIGNAL_KEYS: readonly string[] = ["hem", "hemMd5", "hashedPhone"];
/** Longest text kept of a hint the client chose freely. */
const HINT_LENGTH = 64;

/** Only whether an identifier exists is kept, never its value. */
export function noteVisitor(state: VisitorState, event: VisitEvent): void {
  const identity = event.identity;
  if (identity !== undefined) {
    if (CUSTOMER_KEYS.some((key) => identity[key] !== undefined)) state.hasCustomerId = true;
    if (SIGNAL_KEYS.some((key) => identity[key] !== undefined)) state.hasSignalId = true;
  }
  if (event.device.language !== undefined) state.language = event.device.language.slice(0, HINT_LENGTH);
  if (event.device.timezone !== undefined) state.timezone = event.device.timezone.slice(0, HINT_LENGTH);
  if (event.edge?.country !== undefined) state.country = event.edge.country.slice(0, HINT_LENGTH);
}
