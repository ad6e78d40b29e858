// Latency of the last minute: its distribution, and the time spent in each stage.

import { Canvas, roundUp } from "./canvas.js";

const STAGES = { lsl: "LSL", decode: "filter, decode", pack: "pack", send: "ZeroMQ send" };
const LEFT = 12, RIGHT = 14, BOTTOM = 34, TOP = 30;
const TICKS_US = [50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000];

export const ms = (us) => (us >= 10000 ? (us / 1000).toFixed(0) : us >= 1000 ? (us / 1000).toFixed(1) : (us / 1000).toFixed(2));

export class Latency {
  constructor() {
    this.histogram = new Canvas("histogram");
    this.stages = new Canvas("stages");
    this.histogram.onChange = this.stages.onChange = () => this.draw();
    this.about = document.getElementById("latency-about");
    this.figures = null;
  }

  show(figures) {
    this.figures = figures;
    this.about.textContent = figures
      ? `last ${Math.round(figures.seconds)} s, ${figures.bins.toLocaleString("en-US")} bins` +
        (figures.filled ? `, without ${figures.filled} filled` : "")
      : "";
    this.draw();
  }

  draw() {
    if (!this.figures) {
      this.histogram.empty("no estimate yet");
      this.stages.empty("");
      return;
    }
    this.drawHistogram();
    this.drawStages();
  }

  drawHistogram() {
    const { histogram: canvas, figures } = this;
    const { edges_us: edges, counts, latency_us: latency } = figures;
    const context = canvas.clear();
    const used = counts.map((count, i) => [count, i]).filter(([count]) => count).map(([, i]) => i);
    const first = Math.max(0, used[0] - 3), last = Math.min(counts.length, Math.max(used[used.length - 1] + 3, first + 14));
    const low = Math.log(edges[first]), high = Math.log(edges[last]);
    const width = canvas.width - LEFT - RIGHT, height = canvas.height - TOP - BOTTOM;
    const x = (us) => LEFT + (width * (Math.log(us) - low)) / (high - low);
    const most = Math.max(...counts);
    context.fillStyle = canvas.colour.accent;
    for (let i = first; i < last; i++) {
      // Few are seen too: the tail is what a user feels.
      const bar = counts[i] ? Math.max(2, (height * counts[i]) / most) : 0;
      context.fillRect(x(edges[i]) + 0.5, TOP + height - bar, Math.max(1, x(edges[i + 1]) - x(edges[i]) - 1), bar);
    }
    canvas.line(LEFT, TOP + height, LEFT + width, TOP + height, canvas.colour.quiet);
    let free = -Infinity;
    for (const us of TICKS_US.filter((tick) => tick >= edges[first] && tick <= edges[last])) {
      canvas.line(x(us), TOP + height, x(us), TOP + height + 4, canvas.colour.quiet);
      if (x(us) < free) continue;
      canvas.text(String(us / 1000), x(us), TOP + height + 12, canvas.colour.quiet, "center");
      free = x(us) + 34;
    }
    canvas.text("ms, bin complete to published", LEFT + width / 2, canvas.height - 7, canvas.colour.quiet, "center");
    [["p50", canvas.colour.ink], ["p99", canvas.colour.bad]].forEach(([name, colour], row) => {
      const at = Math.min(Math.max(x(latency[name]), LEFT), LEFT + width);
      context.setLineDash([4, 3]);
      canvas.line(at, 8 + 13 * row, at, TOP + height, colour, 1.5);
      context.setLineDash([]);
      const right = at > canvas.width * 0.6;
      canvas.text(`${name} ${ms(latency[name])} ms`, at + (right ? -5 : 5), 8 + 13 * row, colour, right ? "right" : "left");
    });
    canvas.element.dataset.p99 = latency.p99;
  }

  drawStages() {
    const { stages: canvas, figures } = this;
    canvas.clear();
    const names = Object.keys(figures.stages_us);
    const left = 96, right = 92, row = canvas.height / names.length, width = canvas.width - left - right;
    const most = roundUp(Math.max(...names.map((name) => figures.stages_us[name].p99)));
    names.forEach((name, i) => {
      const { p50, p99 } = figures.stages_us[name];
      const y = row * (i + 0.5);
      canvas.text(STAGES[name] ?? name, left - 8, y, canvas.colour.ink, "right");
      const context = canvas.context;
      context.fillStyle = canvas.colour.accent;
      context.globalAlpha = 0.35;
      context.fillRect(left, y - 6, Math.max(1, (width * p99) / most), 12);
      context.globalAlpha = 1;
      context.fillRect(left, y - 6, Math.max(1, (width * p50) / most), 12);
      canvas.text(`${ms(p50)} / ${ms(p99)} ms`, canvas.width - 2, y, canvas.colour.quiet, "right");
    });
  }
}
