/** The same two dependencies in containers, for who asks with TEST_INFRA=containers. No engine found is a failure, never a skip. */
export async function startContainers(): Promise<{ natsUrl: string; databaseUrl: string; stop(): Promise<void> }> {
  // Loaded only when asked for: the import alone costs a third of a second.
  const { GenericContainer, getContainerRuntimeClient, Wait } = await import("testcontainers");
  try {
    await getContainerRuntimeClient();
  } catch (error) {
    throw new Error("TEST_INFRA=containers, but no container engine answers", { cause: error });
  }
  const [nats, postgres] = await Promise.all([
    new GenericContainer("nats:2.14")
      .withCommand(["-js"])
      .withExposedPorts(4222)
      .withWaitStrategy(Wait.forLogMessage("Server is ready"))
      .start(),
    new GenericContainer("postgres:18")
      .withEnvironment({ POSTGRES_PASSWORD: "headwater-test" })
      .withExposedPorts(5432)
      .withWaitStrategy(Wait.forLogMessage("ready to accept connections", 2))
      .start(),
  ]);
  return {
    natsUrl: `nats://${nats.getHost()}:${nats.getMappedPort(4222)}`,
    databaseUrl: `postgres://postgres:headwater-test@${postgres.getHost()}:${postgres.getMappedPort(5432)}/postgres`,
    stop: async () => void (await Promise.all([nats.stop(), postgres.stop()])),
  };
}
