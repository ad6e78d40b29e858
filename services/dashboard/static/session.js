// A session page: hands what comes over the websocket to its pictures, and draws at most once per screen frame.

import { Activity } from "./activity.js";
import { Connection } from "./connection.js";
import { Cursor } from "./cursor.js";
import { Figures } from "./figures.js";
import { Latency } from "./latency.js";
import { Samples } from "./samples.js";
import { Timeline } from "./timeline.js";
import { SHOWN_S, Traces } from "./traces.js";

// The page's elements come with its own framework, after this script.
function whenThere(id, go) {
  if (document.getElementById(id)) go();
  else requestAnimationFrame(() => whenThere(id, go));
}

function begin() {
  const estimates = new Samples(SHOWN_S + 1), truth = new Samples(SHOWN_S + 1);
  const traces = new Traces(estimates, truth), cursor = new Cursor(), activity = new Activity();
  const latency = new Latency(), timeline = new Timeline(), figures = new Figures();
  let waiting = false, shown = "", truthName = null;

  function draw() {
    waiting = false;
    traces.draw();
    cursor.draw();
    figures.drawn();
  }

  const take = {
    layout(message) {
      figures.showLayout(message);
      activity.setLayout(message);
      truthName = message.truth;
      figures.showR2(null, truthName);
      if (!message.outputs) return;
      const shape = JSON.stringify([message.outputs, message.variants, message.truth]);
      if (shape === shown) return;
      shown = shape;
      // What was drawn before may have other columns.
      estimates.clear();
      truth.clear();
      traces.setLayout(message);
      cursor.setLayout(message);
      draw();
    },
    status(message) {
      timeline.setNow(message.now);
      figures.show(message);
      activity.showHealth(message.channels);
    },
    gone(message) {
      figures.setState("gone", message.detail);
    },
    figures(message) {
      latency.show(message.latency);
      figures.showR2(message.r2, truthName);
      if (traces.layout) traces.showR2(message.r2);
    },
    events(message) {
      timeline.add(message.events);
    },
    samples(frame) {
      if (frame.t) {
        estimates.add(frame.t, frame.values);
        cursor.addEstimates(frame.t, frame.values);
      }
      if (frame.truth) {
        truth.add(frame.truth_t, frame.truth);
        cursor.addTruth(frame.truth_t, frame.truth);
      }
      if (frame.columns) activity.add(frame.column_t, frame.columns);
      if (!waiting) {
        waiting = true;
        requestAnimationFrame(draw);
      }
    },
  };
  setInterval(() => figures.showRate(), 500);
  new Connection(`${location.pathname.replace(/\/$/, "")}/live`, (message) => take[message.kind](message),
    (connected) => figures.setConnected(connected));
}

whenThere("events", begin);
