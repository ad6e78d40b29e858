// A canvas as large as its box, in device pixels, with the colours of the theme.

const COLOURS = [
  "ink", "quiet", "line", "panel", "raw", "low_latency", "high_accuracy", "truth", "good", "warn", "bad", "accent",
];

export class Canvas {
  constructor(id) {
    this.element = document.getElementById(id);
    this.context = this.element.getContext("2d");
    this.width = this.height = 0;
    new ResizeObserver(() => this.resize()).observe(this.element);
    new MutationObserver(() => this.restyle()).observe(document.body, { attributes: true, attributeFilter: ["class"] });
    this.restyle();
    this.resize();
  }

  resize() {
    const { clientWidth, clientHeight } = this.element;
    const scale = window.devicePixelRatio || 1;
    this.width = clientWidth;
    this.height = clientHeight;
    this.element.width = Math.round(clientWidth * scale);
    this.element.height = Math.round(clientHeight * scale);
    this.context.setTransform(scale, 0, 0, scale, 0, 0);
    this.onChange?.();
  }

  restyle() {
    const style = getComputedStyle(document.body);
    this.colour = Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    this.onChange?.();
  }

  clear(font = 12) {
    const context = this.context;
    context.clearRect(0, 0, this.width, this.height);
    context.font = `${font}px system-ui, Roboto, sans-serif`;
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.setLineDash([]);
    context.globalAlpha = 1;
    return context;
  }

  text(words, x, y, colour = this.colour.quiet, align = "left") {
    this.context.fillStyle = colour;
    this.context.textAlign = align;
    this.context.fillText(words, x, y);
  }

  line(x0, y0, x1, y1, colour = this.colour.line, width = 1) {
    const context = this.context;
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
    context.stroke();
  }

  empty(words) {
    this.clear(13);
    this.text(words, this.width / 2, this.height / 2, this.colour.quiet, "center");
  }
}

// The next larger of 1, 2, 5, 10, ...: a scale that people can read.
export function roundUp(value) {
  if (!(value > 0)) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return size * [1, 2, 5, 10].find((step) => step * size >= value * 0.9999);
}

export function figure(value) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  return size >= 1000 ? value.toLocaleString("en-US", { maximumFractionDigits: 0 }) : String(Number(value.toPrecision(2)));
}
