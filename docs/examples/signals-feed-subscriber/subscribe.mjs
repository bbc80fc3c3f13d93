// The example subscriber of the Signals Feed document, unchanged but for scheme and host. Needs Node 22+ for the native WebSocket class.
const API_KEY = process.env.CS_API_KEY;
if (!API_KEY) {
  console.error('set CS_API_KEY to a Scale+ tier key before running this script');
  process.exit(1);
}

const url = `ws://127.0.0.1:7210/signals/stream?key=${encodeURIComponent(API_KEY)}`;
const ws = new WebSocket(url);

ws.addEventListener('open', () => {
  console.error('[signals-feed] connected');
});

ws.addEventListener('message', (event) => {
  let msg;
  try { msg = JSON.parse(event.data); } catch { return; }

  if (msg.type === 'ping') {
    ws.send(JSON.stringify({ type: 'pong', timestamp: Date.now() }));
    return;
  }
  if (msg.type === 'hello') {
    console.error('[signals-feed] hello:', msg.message);
    return;
  }
  if (msg.type === 'duration_limit') {
    console.error('[signals-feed] duration limit — reconnect');
    return;
  }

  // Only "event" frames go to stdout as JSONL
  if (msg.type === 'event') {
    process.stdout.write(JSON.stringify(msg) + '\n');
  }
});

ws.addEventListener('close', (event) => {
  console.error(`[signals-feed] closed code=${event.code} reason=${event.reason}`);
  process.exit(event.code === 4008 ? 0 : 1);
});

ws.addEventListener('error', (err) => {
  console.error('[signals-feed] error', err);
});
