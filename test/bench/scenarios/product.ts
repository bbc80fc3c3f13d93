/** The product as a pipeline of the end-to-end scenarios: two entrances (ingest's own port, as an Ingress would post; the front) and the feed. */
import { type Product, startProduct } from "../../support/product.ts";
import type { Pipeline } from "../reference/reference-pipeline.ts";

/** Limits that a benchmark raises, named in every result. */
export const RAISED_LIMITS = {
  plan: "custom (100,000 events/s per key, bursts of twice that)",
  feedConnections: "up to 1,100 per tenant",
};

export interface BenchProduct {
  product: Product;
  key: string;
  pipeline(entrance: "ingest port" | "front", include?: string): Pipeline;
  stop(): Promise<void>;
}

export async function startBenchProduct(): Promise<BenchProduct> {
  const product = await startProduct();
  try {
    const key = await product.createKey({ tenant: "bench", plan: "custom", scopes: ["events:write", "signals:read"], type: "browser" });
    await product.raiseLimits("bench", "custom", { feedConnections: 1_100 });
    const headers = { "X-API-Key": key };
    return {
      product,
      key,
      pipeline: (entrance, include = "ids") => {
        const direct = entrance === "ingest port";
        const wsPort = direct ? product.servicePort("edge-0") : product.port;
        return {
          name: `product through ${entrance}`,
          http: { host: product.host, port: direct ? product.servicePort("ingest-0") : product.port, key },
          ws: {
            host: product.host,
            port: wsPort,
            path: "/v1/signals/stream",
            parsedPath: `/v1/signals/stream?include=${include}`,
            headers,
          },
          idMember: "eventId",
          greetings: 1,
          pids: () => product.pids(),
        };
      },
      stop: () => product.stop(),
    };
  } catch (error) {
    await product.stop();
    throw error;
  }
}
