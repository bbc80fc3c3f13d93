/** Preloaded into a snippet of the documentation page: `WebSocket` is that of `ws`, and every frame it receives is also a line on stderr. */
const WebSocket = require("ws");

globalThis.WebSocket = WebSocket;
const emit = WebSocket.prototype.emit;
WebSocket.prototype.emit = function (event, ...args) {
  if (event === "message") process.stderr.write(`frame ${String(args[0])}\n`);
  return emit.call(this, event, ...args);
};
