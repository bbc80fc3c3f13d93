/**
 * Composition root of intelligence.
 * Consumes: REGISTRY (tenants and their plans). Produces: nothing yet.
 * Stores: nothing. Owns: the stream ANALYSES, LLM providers, manual and automatic analysis, text appraisal, budgets.
 * Must never: score, deliver to sockets, or publish a subject another service owns.
 */
import { announceService, bindStreams, connectService, ensureStreams, openRegistry } from "@headwater/messaging";
import { streamSpecs } from "@headwater/protocol";
import { combineHealth, type Deps, ResourceStack, type Service } from "@headwater/runtime";
import { Router } from "express";
import { Gauge, Registry } from "prom-client";
import type { IntelligenceConfig } from "./config.ts";

export async function startIntelligence(config: IntelligenceConfig, deps: Deps): Promise<Service> {
  const stack = new ResourceStack();
  try {
    const nats = await connectService(deps, config.natsConnectTimeoutMs);
    stack.defer(() => nats.drain());
    const ownStreams = streamSpecs(deps.profile).filter((spec) => spec.owner === "intelligence");
    await ensureStreams(nats, ownStreams, { replicas: config.natsReplicas });
    await bindStreams(nats, ["REGISTRY"], { withinMs: config.natsConnectTimeoutMs });
    const registry = await openRegistry(nats, { aggregates: ["tenant"], log: deps.log });
    stack.defer(() => registry.stop());

    const metrics = new Registry();
    metrics.setDefaultLabels({ service: "intelligence" });
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
      name: "intelligence",
      description: "LLM providers, manual and automatic analysis, text appraisal, budgets",
      status,
    });
    stack.defer(() => micro.stop());
    return {
      name: "intelligence",
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
