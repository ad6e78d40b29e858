// The figures of a session, its state, and how often the display is updated.

import { ms } from "./latency.js";

const count = (n) => n.toLocaleString("en-US");
const set = (id, words) => {
  const element = document.getElementById(id);
  if (element.textContent !== words) element.textContent = words;
};

export class Figures {
  constructor() {
    this.updates = [];
    this.connected = false;
  }

  showLayout(layout) {
    const kind = (layout.decoder ?? "").split(" · ")[0];
    set("f-decoder", kind);
    document.getElementById("f-decoder").title = layout.decoder ?? "";
  }

  show(status) {
    this.setState(status.state, status.message);
    set("f-decoded", count(status.bins_decoded));
    set("f-lost", count(status.bins_lost));
    document.getElementById("f-lost").className = status.bins_lost ? "warned" : "";
    set("f-p50", status.latency_us ? ms(status.latency_us.p50) : "–");
    set("f-p99", status.latency_us ? ms(status.latency_us.p99) : "–");
    set("f-age", status.last_bin_age_s === null ? "–" : status.last_bin_age_s.toFixed(2));
    set("f-revision", String(status.revision) + (status.swapping_to ? ` → ${status.swapping_to}` : ""));
    set("f-endpoint", status.state === "running" || status.state === "searching" ? status.endpoint.replace("tcp://", "") : "–");
  }

  // R² of the estimate that the cursor shows.
  showR2(told, truth) {
    const variant = document.getElementById("variant").value;
    const value = told?.r2[variant] ?? null;
    set("f-r2", value === null ? "–" : value.toFixed(3));
    set("f-r2-about", value !== null ? `${variant.replace("_", " ")}, ${Math.round(told.seconds)} s`
      : truth ? "collecting" : "no true movement");
  }

  setState(state, message) {
    const badge = document.getElementById("state");
    set("state", state);
    badge.className = `badge is-${state}`;
    set("message", message);
  }

  setConnected(connected) {
    this.connected = connected;
    if (!connected) {
      this.setState("disconnected", "No answer from the control plane; workers decode on. Trying again.");
    }
  }

  drawn() {
    const now = performance.now();
    this.updates.push(now);
    while (this.updates[0] < now - 2000) this.updates.shift();
  }

  showRate() {
    const now = performance.now();
    const recent = this.updates.filter((at) => at > now - 2000).length / 2;
    set("f-rate", this.connected ? recent.toFixed(0) : "–");
  }
}
