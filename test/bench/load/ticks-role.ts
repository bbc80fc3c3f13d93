/**
 * The outside world of the ticks scenario as a process of its own: feeds whose every topic gets a new message once per interval and more often
 * than that, and a model provider that speaks the OpenAI protocol and answers after a fixed time. Loopback only.
 */
import http from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { serveRole } from "../../support/role.ts";

export interface TicksWorld {
  topicsPerFeed: number;
  /** Between two messages of a topic, ms. */
  messageEveryMs: number;
  /** Of an answer, ms. */
  answerAfterMs: number;
}

const MESSAGES_PER_STEP = 10;

let calls = 0;

serveRole({
  listen: async (world: TicksWorld): Promise<{ upstreamPort: number; providerPort: number }> => ({
    upstreamPort: await listen(upstreamOf(world)),
    providerPort: await listen(providerOf(world)),
  }),
  calls: (): number => calls,
});

function upstreamOf({ topicsPerFeed, messageEveryMs }: TicksWorld): http.Server {
  const server = http.createServer((_request, response) => response.writeHead(426).end());
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket) => {
    let n = 0;
    const step = (): void => {
      for (let i = 0; i < MESSAGES_PER_STEP; i++, n++)
        socket.send(JSON.stringify({ s: `T${n % topicsPerFeed}`, price: 100 + (n % 17), size: (n % 7) / 10, n }));
    };
    const timer = setInterval(step, (messageEveryMs / topicsPerFeed) * MESSAGES_PER_STEP);
    socket.on("close", () => clearInterval(timer));
  });
  return server;
}

function providerOf({ answerAfterMs }: TicksWorld): http.Server {
  return http.createServer((request, response) => {
    request.resume();
    request.on("end", () => {
      calls++;
      setTimeout(() => {
        response.writeHead(200, { "content-type": "application/json" }).end(
          JSON.stringify({
            id: "c",
            object: "chat.completion",
            created: 0,
            model: "stub",
            choices: [
              { index: 0, finish_reason: "stop", message: { role: "assistant", content: "The price moved within its usual range." } },
            ],
            usage: { prompt_tokens: 900, completion_tokens: 10, total_tokens: 910 },
          }),
        );
      }, answerAfterMs);
    });
  });
}

function listen(server: http.Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    // A TCP server that listens has an address with a port.
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}
