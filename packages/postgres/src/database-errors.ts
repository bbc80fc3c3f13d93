/** What an error of the database means to a caller, through the wrappers of drizzle. Tests: database-errors.test.ts. */

/** Connection refused, reset or timed out, or the server is starting up or shutting down (SQLSTATE class 57P, 08). */
export function isDatabaseAway(error: unknown): boolean {
  return chain(error).some(
    (at) =>
      /^(ECONNREFUSED|ECONNRESET|EPIPE|57P0\d|08\d{3})$/.test(codeOf(at)) ||
      /timeout exceeded when trying to connect|Connection terminated/.test(at.message),
  );
}

/** Name of the unique index that refused a row; undefined for any other error. */
export function violatedIndex(error: unknown): string | undefined {
  const refused = chain(error).find((at) => codeOf(at) === "23505");
  return refused && "constraint" in refused ? String(refused.constraint) : undefined;
}

function chain(error: unknown): Error[] {
  const errors: Error[] = [];
  for (let at = error; at instanceof Error && errors.length < 4; at = at.cause) errors.push(at);
  return errors;
}

function codeOf(error: Error): string {
  return "code" in error ? String(error.code) : "";
}
