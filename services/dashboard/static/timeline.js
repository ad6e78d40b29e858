// Gaps and events: marks on a line of time, and the same as words.

import { Canvas } from "./canvas.js";

const SHOWN_S = 300, LISTED = 60, LONGEST = 90, LEFT = 62, RIGHT = 12, TOP = 4, BOTTOM = 20;
const LANES = ["state", "swap", "gap", "stream"];
const BAD = new Set(["lost", "invalid_input", "invalid_output", "invalid_stamp", "swap_failed", "rolled_back", "failed",
  "late", "mismatch", "clock_jump"]);
const GOOD = new Set(["connected", "recovered", "switched", "running", "swap"]);

export class Timeline {
  constructor() {
    this.canvas = new Canvas("timeline");
    this.canvas.onChange = () => this.draw();
    this.list = document.getElementById("events");
    this.events = [];
    this.seen = new Set();
    this.ahead = 0;
    setInterval(() => this.draw(), 1000);
  }

  // The server's clock against this machine's.
  setNow(now) {
    this.ahead = now - Date.now() / 1000;
  }

  add(events) {
    const fresh = events.filter((event) => !this.seen.has(event.id));
    for (const event of fresh) {
      this.seen.add(event.id);
      const entry = { at: Date.parse(event.at) / 1000, ...told(event) };
      this.events.push(entry);
      const item = document.createElement("li");
      const time = document.createElement("time");
      time.textContent = new Date(event.at).toLocaleTimeString("en-GB");
      item.append(time, entry.words.length > LONGEST ? `${entry.words.slice(0, LONGEST)} …` : entry.words);
      item.title = entry.words;
      item.className = entry.mood;
      this.list.prepend(item);
    }
    while (this.list.children.length > LISTED) this.list.lastChild.remove();
    if (fresh.length) this.draw();
  }

  draw() {
    const { canvas } = this;
    canvas.clear();
    const now = Date.now() / 1000 + this.ahead;
    const width = canvas.width - LEFT - RIGHT, row = (canvas.height - TOP - BOTTOM) / LANES.length;
    LANES.forEach((lane, i) => {
      const y = TOP + row * (i + 0.5);
      canvas.text(lane, LEFT - 8, y, canvas.colour.quiet, "right");
      canvas.line(LEFT, y, LEFT + width, y);
    });
    for (let minute = 0; minute <= SHOWN_S / 60; minute++) {
      const x = LEFT + width * (1 - (60 * minute) / SHOWN_S);
      canvas.text(minute ? `-${minute} min` : "now", x, canvas.height - 8, canvas.colour.quiet, minute ? "center" : "right");
    }
    const context = canvas.context;
    for (const { at, lane, mood } of this.events) {
      const x = LEFT + width * (1 - (now - at) / SHOWN_S);
      if (x < LEFT || x > LEFT + width + 4) continue;
      const y = TOP + row * (LANES.indexOf(lane) + 0.5);
      context.fillStyle = canvas.colour[mood];
      // A shape for each mood: not everyone tells the colours apart.
      context.beginPath();
      if (mood === "bad") context.rect(x - 4, y - 4, 8, 8);
      else if (mood === "warn") [[0, -5], [5, 4], [-5, 4]].forEach(([dx, dy]) => context.lineTo(x + dx, y + dy));
      else context.arc(x, y, 4, 0, 2 * Math.PI);
      context.fill();
    }
  }
}

const plain = (name) => name.replaceAll("_", " ");

function told(event) {
  if (event.type === "state") {
    const words = `${event.state}, revision ${event.revision}${event.message ? `: ${event.message}` : ""}`;
    const mood = event.state === "running" ? "good" : event.state === "failed" ? "bad" : "quiet";
    return { lane: "state", mood, words };
  }
  if (event.type === "swap") {
    const words = `swap to revision ${event.revision} ${plain(event.outcome)}${event.reason ? `: ${event.reason}` : ""}`;
    const mood = GOOD.has(event.outcome) ? "good" : BAD.has(event.outcome) ? "bad" : "quiet";
    return { lane: "swap", mood, words };
  }
  if (event.type === "health") {
    const about = Object.entries(event.details).filter(([key]) => ["bins", "policy", "reason", "jump_s", "behind_s", "revision"].includes(key));
    const details = about.map(([key, value]) => `${plain(key)} ${typeof value === "number" ? Number(value.toFixed(3)) : value}`).join(", ");
    const more = event.repeated ? ` (and ${event.repeated} more)` : "";
    const mood = BAD.has(event.event) ? "bad" : GOOD.has(event.event) ? "good" : "warn";
    const lane = event.event === "gap" ? "gap" : /swap|rolled/.test(event.event) ? "swap" : "stream";
    return { lane, mood, words: `${plain(event.event)}${details ? `: ${details}` : ""}${more}` };
  }
  return { lane: "state", mood: "quiet", words: `session ${event.action ?? event.type}` };
}
