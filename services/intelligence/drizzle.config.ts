import { defineConfig } from "drizzle-kit";

export default defineConfig({
  dialect: "postgresql",
  schema: "./src/adapters/db-schema.ts",
  out: "./migrations",
  schemaFilter: ["intelligence"],
});
