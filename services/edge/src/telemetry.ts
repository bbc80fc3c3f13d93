/** Metrics of the edge: one helper per business event, gauges read when scraped. Labels are few and never ids. */
import type { Logger } from "@headwater/runtime";
import { Counter, Gauge, type Registry } from "prom-client";

export interface EdgeGauges {
  sockets(): Record<string, number>;
  queuedBytes(): number;
  totals(): { framesSent: number; bytesSent: number; framesDropped: number };
  /** By stream. */
  hubs(): Record<string, { position: number; framesRead: number; newestFrameMs: number; ringBytes: number }>;
  /** By stream, of those that can be resumed. */
  resumes(): Record<string, { replaying: number; reads: number }>;
}

export interface Telemetry {
  socketOpened(surface: string): void;
  socketClosed(surface: string, code: number, facts: { framesSent: number; bytesSent: number; lastedMs: number }): void;
  handshakeRefused(surface: string, code: string): void;
  frameDamaged(stream: string, seq: number, reason: string): void;
}

export function createTelemetry(registers: Registry[], log: Logger): Telemetry & { observe(gauges: EdgeGauges): void } {
  const opened = new Counter({ name: "headwater_edge_opened_total", help: "Sockets opened", labelNames: ["surface"], registers });
  const closed = new Counter({
    name: "headwater_edge_closed_total",
    help: "Sockets closed by code",
    labelNames: ["surface", "code"],
    registers,
  });
  const refused = new Counter({
    name: "headwater_edge_refused_total",
    help: "Handshakes refused before the upgrade",
    labelNames: ["surface", "error"],
    registers,
  });
  const damaged = new Counter({ name: "headwater_edge_damaged_frames_total", help: "Stored frames that could not be read", registers });
  return {
    socketOpened(surface) {
      opened.inc({ surface });
    },
    socketClosed(surface, code, facts) {
      closed.inc({ surface, code: String(code) });
      log.debug({ surface, code, ...facts }, "socket.closed");
    },
    handshakeRefused(surface, error) {
      refused.inc({ surface, error });
    },
    frameDamaged(stream, seq, reason) {
      damaged.inc();
      log.error({ stream, streamSeq: seq, reason }, "frame.damaged");
    },
    observe(gauges) {
      const gauge = (name: string, help: string, read: () => number): void => {
        new Gauge({
          name,
          help,
          registers,
          collect() {
            this.set(read());
          },
        });
      };
      new Gauge({
        name: "headwater_edge_sockets",
        help: "Open sockets",
        labelNames: ["surface"],
        registers,
        collect() {
          for (const [surface, count] of Object.entries(gauges.sockets())) this.set({ surface }, count);
        },
      });
      gauge("headwater_edge_queued_bytes", "Bytes queued for all sockets", () => gauges.queuedBytes());
      gauge("headwater_edge_frames_sent", "WebSocket frames written since start", () => gauges.totals().framesSent);
      gauge("headwater_edge_bytes_sent", "Bytes written since start", () => gauges.totals().bytesSent);
      gauge("headwater_edge_frames_dropped", "WebSocket frames left out for slow readers since start", () => gauges.totals().framesDropped);
      const perStream = <T>(name: string, help: string, facts: () => Record<string, T>, read: (fact: T) => number): void => {
        new Gauge({
          name,
          help,
          labelNames: ["stream"],
          registers,
          collect() {
            for (const [stream, fact] of Object.entries(facts())) this.set({ stream }, read(fact));
          },
        });
      };
      const { hubs, resumes } = gauges;
      perStream("headwater_edge_log_position", "Last sequence read of the output stream", hubs, (hub) => hub.position);
      perStream("headwater_edge_frames_read", "Stored frames read since start", hubs, (hub) => hub.framesRead);
      perStream("headwater_edge_newest_frame_ms", "Time of the newest frame read, ms since epoch", hubs, (hub) => hub.newestFrameMs);
      perStream("headwater_edge_ring_bytes", "Bytes of the hot tail in memory", hubs, (hub) => hub.ringBytes);
      perStream("headwater_edge_replaying_sockets", "Sockets that are catching up", resumes, (resume) => resume.replaying);
      perStream("headwater_edge_replay_reads", "Stream reads serving them", resumes, (resume) => resume.reads);
    },
  };
}
