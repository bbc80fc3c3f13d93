/** Loopback admin port of a process: `/metrics`, `/health/live`, `/health/ready`. Never reachable from the public port. Tests: http-server.int.test.ts. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Service } from "./service.ts";

export async function listenAdmin(
  services: readonly Service[],
  host: string,
  port: number,
): Promise<{ port: number; close(): Promise<void> }> {
  const server = createServer((req, res) => {
    const path = (req.url ?? "/").split("?", 1)[0];
    if (path === "/metrics") {
      Promise.all(services.map((service) => service.metrics.metrics())).then(
        (texts) => {
          res.writeHead(200, { "Content-Type": "text/plain; version=0.0.4; charset=utf-8" });
          res.end(texts.join("\n"));
        },
        (error: unknown) => {
          res.writeHead(500, { "Content-Type": "text/plain" }).end(`${error instanceof Error ? error.message : String(error)}\n`);
        },
      );
    } else if (path === "/health/live") {
      res.writeHead(200, { "Content-Type": "text/plain" }).end("ok\n");
    } else if (path === "/health/ready") {
      const reports = services.map((service) => ({ name: service.name, ...service.health() }));
      const down = reports.some((report) => report.status === "down");
      res.writeHead(down ? 503 : 200, { "Content-Type": "application/json" }).end(JSON.stringify(reports));
    } else {
      res.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  return {
    // A TCP listener's address is an object; only pipes have a string.
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
