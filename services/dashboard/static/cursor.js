// The cursor: a position as it is decoded, or a velocity integrated with a slow pull towards the centre.

import { Canvas, figure, roundUp } from "./canvas.js";

const TRAIL_S = 3, PULL_S = 2, KEPT_S = 10;
const MARGIN = 26;

export class Cursor {
  constructor() {
    this.canvas = new Canvas("cursor");
    this.canvas.onChange = () => this.draw();
    this.note = document.getElementById("cursor-note");
    this.choice = document.getElementById("variant");
    this.choice.addEventListener("change", () => this.restart());
    this.layout = null;
    this.updates = 0;
    this.restart();
  }

  setLayout(layout) {
    this.layout = layout;
    const former = this.choice.value;
    this.choice.innerHTML = layout.variants
      .map(({ name }) => `<option value="${name}">${name.replace("_", " ")}</option>`).join("");
    const names = layout.variants.map(({ name }) => name);
    this.choice.value = [former, "low_latency", "raw"].find((name) => names.includes(name));
    this.axes = axesOf(layout.outputs);
    const unit = this.axes.integrated ? this.axes.unit.replace(/\/s$/, "") : this.axes.unit;
    this.unit = unit;
    this.note.textContent = this.axes.integrated
      ? `Position in ${unit}: velocity integrated, drawn back to the centre with ${PULL_S} s.`
      : `Position in ${unit}, as decoded.`;
    this.restart();
  }

  restart() {
    this.decoded = new Path();
    this.truth = new Path();
    this.reach = 0;
  }

  addEstimates(times, values) {
    if (!this.layout) return;
    const variant = Math.max(0, this.layout.variants.findIndex(({ name }) => name === this.choice.value));
    this.decoded.add(times, values, variant * this.layout.outputs.length, this.axes);
  }

  addTruth(times, values) {
    if (this.layout) this.truth.add(times, values, 0, this.axes);
  }

  draw() {
    const { canvas } = this;
    if (!this.layout || !this.decoded.points.length) return canvas.empty("no estimate yet");
    const context = canvas.clear();
    const size = Math.min(canvas.width, canvas.height) - 2 * MARGIN;
    const left = (canvas.width - size) / 2, top = (canvas.height - size) / 2;
    const furthest = Math.max(this.decoded.reach(), this.truth.reach());
    const wanted = roundUp(furthest * 1.05);
    if (wanted > this.reach || wanted < this.reach / 2.5) this.reach = wanted;
    const x = (value) => left + size * (0.5 + value / (2 * this.reach));
    const y = (value) => top + size * (0.5 - value / (2 * this.reach));
    for (let i = 0; i <= 4; i++) {
      const value = this.reach * (i / 2 - 1);
      canvas.line(x(value), top, x(value), top + size);
      canvas.line(left, y(value), left + size, y(value));
    }
    canvas.text(`-${figure(this.reach)}`, left, top + size + 12, canvas.colour.quiet, "center");
    canvas.text("0", x(0), top + size + 12, canvas.colour.quiet, "center");
    canvas.text(`${figure(this.reach)} ${this.unit}`, left + size + 6, top + size + 12, canvas.colour.quiet, "right");
    if (this.layout.truth) this.path(context, this.truth, x, y, "truth", false);
    this.path(context, this.decoded, x, y, this.choice.value, true);
    const [, px, py] = this.decoded.points[this.decoded.points.length - 1];
    Object.assign(canvas.element.dataset, { x: px, y: py, updates: ++this.updates });
  }

  path(context, path, x, y, colour, filled) {
    const points = path.points;
    if (!points.length) return;
    const newest = points[points.length - 1];
    context.strokeStyle = context.fillStyle = this.canvas.colour[colour];
    context.lineWidth = 2;
    context.lineJoin = "round";
    const first = points.findIndex(([t]) => t > newest[0] - TRAIL_S);
    const parts = 6, length = points.length - first;
    for (let part = 0; part < parts; part++) {
      const from = first + Math.floor((length * part) / parts), to = first + Math.floor((length * (part + 1)) / parts);
      context.globalAlpha = 0.08 + (0.6 * part) / parts;
      context.beginPath();
      for (let i = from; i <= to && i < points.length; i++) context.lineTo(x(points[i][1]), y(points[i][2]));
      context.stroke();
    }
    context.globalAlpha = 1;
    context.beginPath();
    context.arc(x(newest[1]), y(newest[2]), 8, 0, 2 * Math.PI);
    if (filled) context.fill();
    else context.stroke();
  }
}

// Positions in the order of time, as [time, x, y].
class Path {
  constructor() {
    this.points = [];
  }

  add(times, values, first, axes) {
    for (let i = 0; i < times.rows; i++) {
      const t = times.values[i];
      const last = this.points[this.points.length - 1];
      if (last && t <= last[0]) continue;
      const row = i * values.columns + first;
      const vx = values.values[row + axes.x], vy = axes.y === null ? 0 : values.values[row + axes.y];
      if (!Number.isFinite(vx) || !Number.isFinite(vy)) continue;
      if (!axes.integrated) {
        this.points.push([t, vx, vy]);
        continue;
      }
      const dt = last ? Math.min(t - last[0], 0.25) : 0;
      const kept = Math.exp(-dt / PULL_S);
      this.points.push([t, (last ? last[1] : 0) * kept + vx * dt, (last ? last[2] : 0) * kept + vy * dt]);
    }
    const newest = this.points.length ? this.points[this.points.length - 1][0] : 0;
    const old = this.points.findIndex(([t]) => t > newest - KEPT_S);
    if (old > 256) this.points.splice(0, old);
  }

  reach() {
    return this.points.reduce((most, [, x, y]) => Math.max(most, Math.abs(x), Math.abs(y)), 0);
  }
}

// Which outputs move the cursor: a position if there is one, else a velocity that is integrated.
function axesOf(outputs) {
  const isVelocity = ({ name, unit }) => /vel/i.test(name) || /\/s$/.test(unit);
  const positions = outputs.map((output, k) => [output, k]).filter(([output]) => !isVelocity(output)).map(([, k]) => k);
  const chosen = positions.length >= Math.min(2, outputs.length) ? positions : outputs.map((_, k) => k);
  return { x: chosen[0], y: chosen[1] ?? null, integrated: isVelocity(outputs[chosen[0]]), unit: outputs[chosen[0]].unit };
}
