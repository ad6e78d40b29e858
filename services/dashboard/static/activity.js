// Channel activity as a picture: one row per channel, one column per tenth of a second.

import { Canvas, figure } from "./canvas.js";
import { SHOWN_S } from "./traces.js";

const LEFT = 46, RIGHT = 12, TOP = 6, BOTTOM = 34;
// Viridis (matplotlib, CC0) at nine points; between them linear.
const MAP = [
  [68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141],
  [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37],
];

function mapped(share) {
  const at = Math.min(Math.max(share, 0), 1) * (MAP.length - 1);
  const low = Math.min(Math.floor(at), MAP.length - 2);
  return [0, 1, 2].map((c) => MAP[low][c] + (at - low) * (MAP[low + 1][c] - MAP[low][c]));
}

const TABLE = Array.from({ length: 256 }, (_, i) => mapped(i / 255));

export class Activity {
  constructor() {
    this.canvas = new Canvas("activity");
    this.canvas.onChange = () => this.draw();
    this.picture = document.createElement("canvas");
    this.high = 0;
    this.masked = [];
    this.clear();
    this.drawScale();
  }

  clear() {
    this.times = [];
    this.columns = [];
    this.reason = "waiting for the stream";
  }

  setLayout(layout) {
    if (layout.column_s !== this.columnS || layout.n_channels !== this.nChannels) this.clear();
    this.columnS = layout.column_s;
    this.nChannels = layout.n_channels;
    this.reason = layout.column_s ? "waiting for samples" : "the session's stream is not visible";
    if (!layout.column_s) this.clear();
    this.draw();
  }

  // What the worker says of its channels; null while there is none.
  showHealth(health) {
    const words = Object.entries(health ?? {}).filter(([, channels]) => channels.length)
      .map(([state, channels]) => `${state}: ${channels.join(", ")}`).join(" · ");
    const note = document.getElementById("activity-note");
    if (note.textContent === words) return;
    note.textContent = words;
    this.masked = health?.masked ?? [];
    this.draw();
  }

  add(times, values) {
    for (let i = 0; i < times.rows; i++) {
      if (this.times.length && times.values[i] <= this.times[this.times.length - 1]) continue;
      this.times.push(times.values[i]);
      this.columns.push(values.values.slice(i * values.columns, (i + 1) * values.columns));
    }
    const newest = this.times[this.times.length - 1];
    while (this.times[0] < newest - SHOWN_S) {
      this.times.shift();
      this.columns.shift();
    }
    this.paint();
    this.draw();
  }

  // The scale ends where one value in a hundred is higher, and moves slowly.
  paint() {
    const n = this.columns[0].length, width = Math.round(SHOWN_S / this.columnS);
    const sorted = Float32Array.from(this.columns.slice(-20).flatMap((column) => [...column])).sort();
    const wanted = Math.max(sorted[Math.floor(0.99 * (sorted.length - 1))], 1);
    this.high = this.high ? this.high + 0.1 * (wanted - this.high) : wanted;
    if (this.picture.width !== width || this.picture.height !== n) Object.assign(this.picture, { width, height: n });
    const context = this.picture.getContext("2d");
    const image = context.createImageData(width, n);
    const newest = this.times[this.times.length - 1];
    this.columns.forEach((column, i) => {
      const x = width - 1 - Math.round((newest - this.times[i]) / this.columnS);
      if (x < 0) return;
      for (let channel = 0; channel < n; channel++) {
        const [r, g, b] = TABLE[Math.max(0, Math.min(255, Math.round((255 * column[channel]) / this.high)))];
        const at = 4 * (channel * width + x);
        image.data[at] = r;
        image.data[at + 1] = g;
        image.data[at + 2] = b;
        image.data[at + 3] = 255;
      }
    });
    context.putImageData(image, 0, 0);
    document.getElementById("scale-high").textContent = `${figure(this.high)} spikes/s`;
  }

  draw() {
    const { canvas } = this;
    if (!this.columns.length) return canvas.empty(this.reason);
    const context = canvas.clear();
    const width = canvas.width - LEFT - RIGHT, height = canvas.height - TOP - BOTTOM;
    const n = this.columns[0].length;
    context.imageSmoothingEnabled = false;
    context.drawImage(this.picture, LEFT, TOP, width, height);
    context.fillStyle = canvas.colour.panel;
    context.globalAlpha = 0.75;
    for (const channel of this.masked) context.fillRect(LEFT, TOP + (height * channel) / n, width, height / n);
    context.globalAlpha = 1;
    for (const channel of [0, Math.floor(n / 2), n - 1]) {
      canvas.text(String(channel), LEFT - 6, TOP + (height * (channel + 0.5)) / n, canvas.colour.quiet, "right");
    }
    context.save();
    context.translate(10, TOP + height / 2);
    context.rotate(-Math.PI / 2);
    canvas.text("channel", 0, 0, canvas.colour.ink, "center");
    context.restore();
    for (let s = 0; s <= SHOWN_S; s += 2) {
      const at = LEFT + width * (1 - s / SHOWN_S);
      canvas.text(s ? `-${s}` : "now", at, canvas.height - BOTTOM + 11, canvas.colour.quiet, s ? "center" : "right");
    }
    canvas.text("seconds", LEFT + width / 2, canvas.height - 7, canvas.colour.quiet, "center");
    canvas.element.dataset.columns = this.columns.length;
  }

  drawScale() {
    const scale = document.getElementById("scale");
    Object.assign(scale, { width: 256, height: 1 });
    const context = scale.getContext("2d");
    TABLE.forEach(([r, g, b], i) => {
      context.fillStyle = `rgb(${r},${g},${b})`;
      context.fillRect(i, 0, 1, 1);
    });
  }
}
