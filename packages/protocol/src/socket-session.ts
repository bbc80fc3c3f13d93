/**
 * What a `/ws` socket listens to, kept in SOCKETS while it is open and a minute longer, so that the next socket of the same account can be given
 * it back. One message per session, the newest wins. Vectors: vectors/socket-sessions.json.
 */
import { z } from "zod";

/** Chosen by the client and good within its account only. */
export const SocketSessionId = z
  .string()
  .regex(/^[\u0020-\u007e]{1,128}$/)
  .describe("Name of the client's choice, printable ASCII");

/** Counted from the end of the socket, or from the last refresh when its edge died. */
export const SOCKET_SESSION_KEPT_MS = 60_000;
export const SOCKET_SESSION_REFRESH_MS = 20_000;

export const SocketSessionRecord = z.object({
  v: z.literal(1),
  by: z.string().describe("The socket that wrote it"),
  since: z.number().int().describe("When that socket took the session, ms: the newest socket has it"),
  at: z.number().int().describe("When it was last known to be open, ms"),
  cursors: z.boolean().describe("Its data frames carried cursors"),
  feeds: z.array(
    z.object({
      id: z.string(),
      raw: z.boolean(),
      llm: z.boolean(),
      topics: z.array(z.string()).describe("Intelligence only"),
      dataTopics: z.array(z.string()).describe("Intelligence and data"),
    }),
  ),
});
export type SocketSessionRecord = z.infer<typeof SocketSessionRecord>;
export type KeptFeed = SocketSessionRecord["feeds"][number];

/** Never throws; undefined for what is no record of this version. */
export function decodeSocketSession(bytes: Uint8Array): SocketSessionRecord | undefined {
  try {
    return SocketSessionRecord.safeParse(JSON.parse(new TextDecoder().decode(bytes))).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

export function encodeSocketSession(record: SocketSessionRecord): string {
  return JSON.stringify(record);
}
