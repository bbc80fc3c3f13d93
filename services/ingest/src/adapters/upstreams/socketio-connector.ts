/**
 * Socket.IO v4 (Engine.IO 4) over the WebSocket transport. Framed here rather than by the client library, because its arguments then stay
 * source text (exact numbers), and size, pause and pinned address are those of every other upstream. Tests: socketio-connector.int.test.ts.
 */
import type { ConnectionEvents, ConnectionSpec, Connector } from "./connector.ts";
import type { OutboundGuard } from "./outbound-guard.ts";
import { createWebSocketConnector, type WebSocketProtocol } from "./websocket-connector.ts";

export function createSocketIoConnector(spec: ConnectionSpec, guard: OutboundGuard): Connector {
  return createWebSocketConnector(spec, guard, () => protocolOf(spec));
}

const DEFAULT_PATH = "/socket.io/";

/** Packets: `0` open, `2` ping → `3`, `4` message; of a message `0` connect, `1` disconnect, `2` event, `4` connect error, `5` binary event. */
function protocolOf(spec: ConnectionSpec): WebSocketProtocol {
  const pathname = URL.canParse(spec.url) ? new URL(spec.url).pathname : "/";
  // As in the client library: the path of the URL names the namespace, the endpoint has a path of its own.
  const namespace = pathname === "/" || pathname.startsWith(DEFAULT_PATH.slice(0, -1)) ? "" : `${pathname},`;
  return {
    opensItself: true,
    address(url) {
      const address = new URL(url);
      address.pathname = DEFAULT_PATH;
      address.searchParams.set("EIO", "4");
      address.searchParams.set("transport", "websocket");
      return address;
    },
    onText(text, send, events) {
      const type = text[0];
      if (type === "0") return send(`40${namespace}`);
      if (type === "2") {
        events.onNoise();
        return send("3");
      }
      if (type === "1") return events.onEnd("closed by the upstream");
      if (type !== "4") return;
      onMessage(spec, text.slice(1), namespace, send, events);
    },
  };
}

function onMessage(spec: ConnectionSpec, packet: string, namespace: string, send: (text: string) => void, events: ConnectionEvents): void {
  const type = packet[0];
  const body = namespace !== "" && packet.startsWith(namespace, 1) ? packet.slice(1 + namespace.length) : packet.slice(1);
  if (type === "0") {
    events.onOpen();
    for (const message of openingMessages(spec)) send(`42${namespace}${message}`);
  } else if (type === "1") events.onEnd("closed by the upstream");
  else if (type === "4") events.onEnd("the upstream refused the connection");
  else if (type === "2") onEvent(spec, body, events);
  else if (type === "5" || type === "6") events.onDropped("undecodable");
}

/** An opening message is an event: `["name", …]` as it is, anything else as the argument of `message`. */
function openingMessages(spec: ConnectionSpec): string[] {
  const { connectionMessage } = spec.secrets;
  const all = [...(connectionMessage === undefined || connectionMessage === "" ? [] : [connectionMessage]), ...spec.connectionMessages];
  return all.map((text) => {
    const parsed = parse(text);
    if (Array.isArray(parsed) && typeof parsed[0] === "string") return text;
    return `["message",${parsed === undefined ? JSON.stringify(text) : text}]`;
  });
}

function onEvent(spec: ConnectionSpec, body: string, events: ConnectionEvents): void {
  // An event that asks for an acknowledgement has a number before its arguments.
  const json = body.replace(/^\d+/, "");
  const parsed = parse(json);
  if (!Array.isArray(parsed) || typeof parsed[0] !== "string") return events.onDropped("undecodable");
  if (parsed[0] !== spec.eventName) return events.onNoise();
  if (parsed.length === 1) return events.onDropped("empty");
  const only: unknown = parsed.length === 2 ? parsed[1] : undefined;
  // One argument is the message; several are a list.
  events.onFrame(typeof only === "string" ? only : argumentsOf(json, parsed.length === 2), false);
}

/** Source text behind the event's name, which is the first string: of a single argument, or of the list of all. */
function argumentsOf(json: string, isSingle: boolean): string {
  const name = /^\s*\[\s*"(?:[^"\\]|\\.)*"\s*,/.exec(json)?.[0] ?? "";
  const rest = json.slice(name.length);
  return isSingle ? rest.slice(0, rest.lastIndexOf("]")) : `[${rest}`;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the callers tell it apart from every JSON value
  }
}
