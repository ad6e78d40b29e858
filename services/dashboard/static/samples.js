// The newest seconds of samples with K values each, in the order of time.

export class Samples {
  constructor(seconds) {
    this.seconds = seconds;
    this.clear();
  }

  clear() {
    this.times = [];
    this.rows = [];
  }

  add(times, values) {
    const columns = values.columns;
    for (let i = 0; i < times.rows; i++) {
      const t = times.values[i];
      // A worker or rig that was started anew may begin in the past of the former one.
      if (t <= this.newest) continue;
      this.times.push(t);
      this.rows.push(values.values.subarray(i * columns, (i + 1) * columns));
    }
    let old = 0;
    while (this.times[old] < this.newest - this.seconds) old++;
    // Not one by one: moving the whole array costs more than keeping a few old samples.
    if (old > 256) {
      this.times.splice(0, old);
      this.rows.splice(0, old);
    }
  }

  get newest() {
    return this.times.length ? this.times[this.times.length - 1] : -Infinity;
  }
}
