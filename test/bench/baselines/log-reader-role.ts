/**
 * Reads the stored log back with the bare client: which acknowledged events are really in it, and whether scoring has reached its end.
 * Uses the operator's read-only rights; creates ephemeral consumers only.
 */
import { DeliverPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { decodeFrameHeader, inputStreamName, LANE_COUNT, subjects } from "@headwater/protocol";
import { serveRole } from "../../support/role.ts";

export interface LogCount {
  /** Distinct events of the run in the log. */
  distinct: number;
  repeats: number;
  /** Acknowledged numbers that are not in the log. */
  missing: number[];
  bytes: number;
}

let link: NatsConnection | undefined;
function connection(): NatsConnection {
  if (!link) throw new Error("not connected");
  return link;
}

serveRole({
  connect: async ({ url, user, password }: { url: string; user: string; password: string }): Promise<void> => {
    link = await connect({ servers: url, user, pass: password });
  },

  /** Accounts for events `0 … sent-1` of a run, except the ones in `unknown`. */
  count: async ({ run, sent, unknown }: { run: string; sent: number; unknown: number[] }): Promise<LogCount> => {
    const bits = new Uint8Array((sent >> 3) + 1);
    let distinct = 0;
    let repeats = 0;
    let bytes = 0;
    const marker = `"eid":"${run}.`;
    const decoder = new TextDecoder("latin1");
    // One lane after the other with few bytes under way: all at once would be cut off by the server as a slow consumer.
    for (const lane of lanes())
      await readAll(inputStreamName("visits", lane), (data) => {
        const text = decoder.decode(data);
        for (let at = text.indexOf(marker); at !== -1; at = text.indexOf(marker, at + 1)) {
          const n = Number.parseInt(text.slice(at + marker.length, text.indexOf(".", at + marker.length)), 36);
          const byte = bits[n >> 3] ?? 0;
          if (byte & (1 << (n & 7))) repeats++;
          else distinct++;
          bits[n >> 3] = byte | (1 << (n & 7));
        }
        bytes += data.length;
      });
    const excused = new Set(unknown);
    const missing: number[] = [];
    for (let n = 0; n < sent; n++) if (((bits[n >> 3] ?? 0) & (1 << (n & 7))) === 0 && !excused.has(n)) missing.push(n);
    return { distinct, repeats, missing, bytes };
  },

  /** Input messages not yet covered by a frame, over all lanes. */
  lag: async (): Promise<number> => {
    const manager = await jetstreamManager(connection());
    const lags = await Promise.all(
      lanes().map(async (lane) => {
        const input = await manager.streams.info(inputStreamName("visits", lane));
        if (input.state.messages === 0) return 0;
        const last = await manager.streams.getMessage("SIGNALS", { last_by_subj: subjects.lane("signals", lane) });
        if (!last) return input.state.last_seq;
        const frame = decodeFrameHeader(last.data);
        if (!frame.ok) throw new Error(`lane ${lane}: ${frame.reason}`);
        return Math.max(0, input.state.last_seq - frame.header.in);
      }),
    );
    return lags.reduce((sum, lag) => sum + lag, 0);
  },
});

function lanes(): number[] {
  return Array.from({ length: LANE_COUNT }, (_, lane) => lane);
}

async function readAll(stream: string, onData: (data: Uint8Array) => void): Promise<void> {
  const manager = await jetstreamManager(connection());
  const { state } = await manager.streams.info(stream);
  if (state.messages === 0) return;
  const consumer = await jetstream(connection()).consumers.get(stream, { deliver_policy: DeliverPolicy.All });
  const messages = await consumer.consume({ max_bytes: 4 * 1024 * 1024 });
  for await (const message of messages) {
    onData(message.data);
    if (message.seq >= state.last_seq) break;
  }
  await messages.close();
}
