// Every output over the last seconds: raw, filtered and true, each at the time that it describes.

import { Canvas, figure, roundUp } from "./canvas.js";

export const SHOWN_S = 10;
const LEFT = 64, RIGHT = 12, TOP = 10, BOTTOM = 34, BETWEEN = 16, MOST_OUTPUTS = 4;
// Line widths; dashes would cost a browser without a graphics processor more than all else.
const WIDTH = {
  raw: 2.5,
  low_latency: 1.25,
  high_accuracy: 1.75,
  truth: 1,
};

export class Traces {
  constructor(estimates, truth) {
    this.canvas = new Canvas("traces");
    this.canvas.onChange = () => this.draw();
    this.estimates = estimates;
    this.truth = truth;
    this.layout = null;
    this.reach = [];
  }

  setLayout(layout) {
    this.layout = layout;
    this.reach = layout.outputs.map(() => 0);
    this.showR2(null);
  }

  // The legend, with the R² of each variant where the true movement is known.
  showR2(told) {
    const names = this.layout.variants.map(({ name, lookahead_s }) => [
      name,
      name.replace("_", " ") + (lookahead_s ? `, ${figure(lookahead_s * 1000)} ms behind` : ""),
      told?.r2[name] ?? null,
    ]);
    if (this.layout.truth) names.push(["truth", "true", null]);
    const html = names.map(([key, words, r2]) =>
      `<li class="${key}">${words}${r2 === null ? "" : ` <b>R² ${r2.toFixed(2)}</b>`}</li>`).join("");
    const legend = document.getElementById("legend");
    if (legend.innerHTML !== html) legend.innerHTML = html;
  }

  draw() {
    const { canvas, layout } = this;
    if (!layout) return canvas.empty("waiting for the session");
    if (!this.estimates.times.length) return canvas.empty("no estimate yet");
    const context = canvas.clear();
    const outputs = layout.outputs.slice(0, MOST_OUTPUTS);
    const height = (canvas.height - TOP - BOTTOM - BETWEEN * (outputs.length - 1)) / outputs.length;
    const end = Math.max(this.estimates.newest, this.truth.newest);
    const width = canvas.width - LEFT - RIGHT;
    const x = (t) => LEFT + width * (1 - (end - t) / SHOWN_S);
    for (let s = 0; s <= SHOWN_S; s += 2) {
      const at = LEFT + width * (1 - s / SHOWN_S);
      canvas.line(at, TOP, at, canvas.height - BOTTOM);
      canvas.text(s ? `-${s}` : "now", at, canvas.height - BOTTOM + 11, canvas.colour.quiet, s ? "center" : "right");
    }
    canvas.text("seconds described by the estimate", LEFT + width / 2, canvas.height - 7, canvas.colour.quiet, "center");
    outputs.forEach((output, k) => {
      const top = TOP + k * (height + BETWEEN);
      this.scale(k);
      const reach = this.reach[k];
      const y = (value) => top + height * (0.5 - value / (2 * reach));
      for (const value of [-reach, 0, reach]) {
        canvas.line(LEFT, y(value), LEFT + width, y(value));
        canvas.text(figure(value), LEFT - 6, y(value), canvas.colour.quiet, "right");
      }
      context.save();
      context.translate(12, top + height / 2);
      context.rotate(-Math.PI / 2);
      canvas.text(`${output.name.replace("_", " ")} (${output.unit})`, 0, 0, canvas.colour.ink, "center");
      context.restore();
      context.save();
      context.beginPath();
      context.rect(LEFT, top, width, height);
      context.clip();
      layout.variants.forEach(({ name, lookahead_s }, v) =>
        this.trace(this.estimates, (t) => x(t - lookahead_s), y, v * layout.outputs.length + k, name));
      if (layout.truth) this.trace(this.truth, x, y, k, "truth");
      context.restore();
    });
  }

  // The axis follows the largest value at once, and shrinks only when there is much room.
  scale(k) {
    let largest = 0;
    const stride = this.layout.outputs.length;
    for (const samples of this.layout.truth ? [this.estimates, this.truth] : [this.estimates]) {
      const from = samples.newest - SHOWN_S;
      for (let i = samples.times.length - 1; i >= 0 && samples.times[i] > from; i--) {
        const row = samples.rows[i];
        for (let at = k; at < row.length; at += stride) if (Math.abs(row[at]) > largest) largest = Math.abs(row[at]);
      }
    }
    const wanted = roundUp(largest);
    if (wanted > this.reach[k] || wanted < this.reach[k] / 2.5) this.reach[k] = wanted;
  }

  trace(samples, x, y, column, name) {
    const context = this.canvas.context;
    context.strokeStyle = this.canvas.colour[name];
    context.lineWidth = WIDTH[name];
    context.lineJoin = "bevel";
    context.beginPath();
    const { times, rows } = samples;
    const widest = 0.25;
    for (let i = 0; i < times.length; i++) {
      // A line across a gap would invent data.
      const broken = i === 0 || times[i] - times[i - 1] > Math.max(widest, 3 * this.layout.step_s);
      context[broken ? "moveTo" : "lineTo"](x(times[i]), y(rows[i][column]));
    }
    context.stroke();
  }
}
