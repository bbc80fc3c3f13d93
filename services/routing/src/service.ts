/**
 * Composition root of routing.
 * Consumes: REGISTRY (tenants and their plans). Produces: nothing yet.
 * Stores: nothing. Owns: who gets what: feeds and topics, monitors and rules, webhook deliveries.
 * Must never: score, deliver to sockets, or publish a subject another service owns.
 */
import { announceService, bindStreams, connectService, openRegistry } from "@headwater/messaging";
import { combineHealth, type Deps, ResourceStack, type Service } from "@headwater/runtime";
import { Router } from "express";
import { Gauge, Registry } from "prom-client";
import type { RoutingConfig } from "./config.ts";

export async function startRouting(config: RoutingConfig, deps: Deps): Promise<Service> {
  const stack = new ResourceStack();
  try {
    const nats = await connectService(deps, config.natsConnectTimeoutMs);
    stack.defer(() => nats.drain());
    await bindStreams(nats, ["REGISTRY"], { withinMs: config.natsConnectTimeoutMs });
    const registry = await openRegistry(nats, { aggregates: ["tenant"], log: deps.log });
    stack.defer(() => registry.stop());

    const metrics = new Registry();
    metrics.setDefaultLabels({ service: "routing" });
    new Gauge({
      name: "headwater_registry_position",
      help: "REGISTRY sequence this instance has read",
      registers: [metrics],
      collect() {
        this.set(registry.position());
      },
    });
    const status = (): Record<string, unknown> => ({ lanes: [], registry: registry.position() });
    const micro = announceService(nats, deps, {
      name: "routing",
      description: "who gets what: feeds and topics, monitors and rules, webhook deliveries",
      status,
    });
    stack.defer(() => micro.stop());
    return {
      name: "routing",
      router: Router(),
      health: () => combineHealth({ nats: nats.connected() ? { ok: true } : { ok: false, detail: "disconnected" } }),
      metrics,
      status,
      settled: async (options) => registry.waitFor(registry.position(), options?.withinMs),
      stop: () => stack.close(),
    };
  } catch (error) {
    await stack.close();
    throw error;
  }
}
