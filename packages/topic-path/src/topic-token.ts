/**
 * A topic as one token of a NATS subject or a file name: every byte outside `A–Z a–z 0–9 _ -` percent-encoded, upper-case hex.
 * Injective for topics (well-formed Unicode). Tests: topic-token.test.ts.
 */
const SAFE = /^[A-Za-z0-9_-]*$/;

export function encodeTopicToken(topic: string): string {
  if (SAFE.test(topic)) return topic;
  let token = "";
  for (const byte of new TextEncoder().encode(topic)) {
    const character = String.fromCharCode(byte);
    token += SAFE.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return token;
}
