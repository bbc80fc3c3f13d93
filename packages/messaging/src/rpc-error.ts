/** Errors of requests between services, and how they travel: `Nats-Service-Error*` headers plus a JSON body. Tests: service.int.test.ts. */

/** The other side answered with a refusal. */
export class RpcError extends Error {
  override readonly name = "RpcError";
  readonly code: string;
  /** HTTP-like status. */
  readonly status: number;
  constructor(code: string, message: string, status = 500) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** Nobody answered in time, or the connection is down: nothing is known about the effect. */
export class RpcUnavailable extends Error {
  override readonly name = "RpcUnavailable";
}

export const SERVICE_ERROR = "Nats-Service-Error";
export const SERVICE_ERROR_CODE = "Nats-Service-Error-Code";

export function encodeRpcError(error: RpcError): { body: string; headers: Record<string, string> } {
  return {
    body: JSON.stringify({ error: error.code, message: error.message, status: error.status }),
    headers: { [SERVICE_ERROR]: error.message.replace(/[\r\n]+/g, " "), [SERVICE_ERROR_CODE]: String(error.status) },
  };
}

/** The payload of an answer. @throws RpcError when the answer carries the error header. */
export function decodeRpcAnswer(answer: { data: Uint8Array; header(name: string): string | undefined }): unknown {
  const text = new TextDecoder().decode(answer.data);
  const failed = answer.header(SERVICE_ERROR_CODE);
  if (failed === undefined) return text === "" ? undefined : JSON.parse(text);
  let code = "internal";
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === "object" && body !== null && "error" in body && typeof body.error === "string") code = body.error;
  } catch {
    code = "internal"; // the header alone already says it failed
  }
  throw new RpcError(code, answer.header(SERVICE_ERROR) ?? "request failed", Number(failed) || 500);
}
