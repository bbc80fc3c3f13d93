/**
 * Binary messages by an uploaded .proto text → JSON text (64-bit numbers as strings, bytes as base64, enums by name, as proto3's own JSON
 * mapping has them). The schema is a customer's: bounded in size and nesting, imports are not followed, every name is a plain identifier.
 * Tests: frame-decoder.test.ts.
 */
import protobuf from "protobufjs";

/** The schema or the type name cannot be used. The message may be shown to the feed's owner. */
export class BadSchema extends Error {
  override readonly name = "BadSchema";
}

export const MAX_SCHEMA_BYTES = 64 * 1024;
const MAX_NESTING = 32;
const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** @returns a function from a binary message to JSON text; it throws for anything that is not such a message. @throws BadSchema */
export function createProtobufDecoder(schema: string | undefined, typeName: string | undefined): (data: Uint8Array) => string {
  if (schema === undefined || typeName === undefined) throw new BadSchema("protobufSchema and protobufType are required");
  if (Buffer.byteLength(schema) > MAX_SCHEMA_BYTES) throw new BadSchema(`protobufSchema is larger than ${MAX_SCHEMA_BYTES} bytes`);
  if (nesting(schema) > MAX_NESTING) throw new BadSchema("protobufSchema is nested too deeply");
  const type = lookUp(schema, typeName);
  return (data) => JSON.stringify(type.toObject(type.decode(data), { longs: String, enums: String, bytes: String, json: true }));
}

function lookUp(schema: string, typeName: string): protobuf.Type {
  try {
    const { root } = protobuf.parse(schema, new protobuf.Root(), { keepCase: true });
    root.resolveAll();
    // Decoders are compiled from these names.
    if (!namesOf(root).every((name) => IDENTIFIER.test(name))) throw new BadSchema("protobufSchema has a name that is no identifier");
    return root.lookupType(typeName);
  } catch (error) {
    if (error instanceof BadSchema) throw error;
    throw new BadSchema("protobufSchema cannot be read or does not define protobufType", { cause: error });
  }
}

function nesting(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (const char of text) {
    if (char === "{" || char === "(" || char === "[") deepest = Math.max(deepest, ++depth);
    else if (char === "}" || char === ")" || char === "]") depth--;
  }
  return deepest;
}

function namesOf(root: protobuf.NamespaceBase): string[] {
  return root.nestedArray.flatMap((child) => [
    child.name,
    ...(child instanceof protobuf.Type ? [...child.fieldsArray, ...child.oneofsArray].map(({ name }) => name) : []),
    ...(child instanceof protobuf.Enum ? Object.keys(child.values) : []),
    ...(child instanceof protobuf.Namespace ? namesOf(child) : []),
  ]);
}
