// The websocket of a session page: connects, reads messages, comes back after a loss, rests while the page is hidden.

const AGAIN_MS = 1000;
const ARRAYS = { f8: Float64Array, f4: Float32Array, u4: Uint32Array };

// One binary message: length of the header, header, arrays; each part begins at a multiple of 8 bytes.
export function readFrame(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let at = 8 * Math.ceil((4 + length) / 8);
  const frame = { kind: header.kind };
  for (const [name, type, shape] of header.arrays) {
    const size = shape.reduce((product, n) => product * n, 1);
    const values = new ARRAYS[type](buffer, at, size);
    frame[name] = { values, rows: shape[0], columns: shape[1] ?? 1 };
    at += 8 * Math.ceil(values.byteLength / 8);
  }
  return frame;
}

export class Connection {
  constructor(path, onMessage, onChange) {
    this.path = path;
    this.onMessage = onMessage;
    this.onChange = onChange;
    this.socket = null;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.rest() : this.open()));
    this.open();
  }

  open() {
    if (this.socket || document.hidden) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = (this.socket = new WebSocket(`${scheme}://${location.host}${this.path}`));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.onChange(true);
    socket.onmessage = ({ data }) => this.onMessage(typeof data === "string" ? JSON.parse(data) : readFrame(data));
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.onChange(false);
      setTimeout(() => this.open(), AGAIN_MS);
    };
  }

  rest() {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }
}
