"""Draws the pictures of the documentation again, from real runs: ``python docs/make_pictures.py``.

``demo.png`` comes from a live run on the simulated rig with the decoder that ships with the package: rig, control
plane, worker and subscriber as processes of their own, as in ``bmi-decoder demo``. ``filters.png`` is computed from
the taps that the streaming machine runs. Needs the ``[dev]`` extra for matplotlib.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np

from bmi_decoder.bundle import read_bundle
from bmi_decoder.client import ControlClient
from bmi_decoder.config import BlockFilterSettings
from bmi_decoder.evaluation.r2 import mean_r2
from bmi_decoder.pipeline import Pipeline, filter_lookahead, filter_taps
from bmi_decoder.wire import Flag
from filters import taps_response
from services.demo.bundle import LIVE_SEED, SUBJECT, demo_bundle
from services.ingest.lsl import configure_lsl
from services.listener import COLUMNS
from services.processes import running
from services.rowlog import RowLogReader

matplotlib.use("Agg")
import matplotlib.pyplot as plt

PICTURES = Path(__file__).parent / "pictures"
SHOWN_S = 8.0
TRUTH, RAW, LOW, HIGH = "#202020", "#b9bec6", "#d97706", "#1d6fb8"


@dataclass
class LiveRun:
    """What a live run gave: estimates by variant, the true movement, and push-to-receive latencies."""

    pipeline: Pipeline
    decoder: str
    t_valid: np.ndarray
    outputs: np.ndarray
    flags: np.ndarray
    stamps: np.ndarray
    truth: np.ndarray
    latency_us: np.ndarray


def live_run(seconds: float) -> LiveRun:
    """Decode the simulated rig for some seconds, with real processes, LSL and ZeroMQ."""
    configure_lsl("loopback")
    import pylsl

    bundle = read_bundle(demo_bundle())
    pipeline = Pipeline(bundle)
    n_variants, n_outputs = pipeline.shape
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data, estimates_log, push_log = folder / "data", folder / "estimates.log", folder / "pushes.log"
        cli = ("-m", "bmi_decoder.cli")
        serve = stack.enter_context(running("serve", (*cli, "serve", "--port", "0", "--data-dir", str(data)), folder))
        found_url = re.search(r"http://\S+", serve.next_line())
        assert found_url is not None
        control = stack.enter_context(ControlClient(found_url.group()))
        stream = f"picture-rig-{time.time_ns()}"
        control.create_session("picture", stream, control.upload_decoder(demo_bundle()).id)
        endpoint = control.start_session("picture").endpoint
        listen = ("-m", "services.listener", endpoint, str(estimates_log), str(n_variants), str(n_outputs))
        stack.enter_context(running("listener", listen, folder)).next_line()
        rig = (*cli, "rig", "simulated", "--stream", stream, "--push-log", str(push_log))
        rig = (*rig, "--subject", str(SUBJECT), "--seed", str(LIVE_SEED))
        child = stack.enter_context(running("rig", rig, folder))
        found = pylsl.resolve_byprop("name", f"{stream}-kinematics", timeout=20)
        child.check()
        inlet = pylsl.StreamInlet(found[0], max_buflen=600, processing_flags=pylsl.proc_clocksync)
        inlet.open_stream(10)
        time.sleep(seconds)
        estimates, pushes = RowLogReader(estimates_log).new_rows(), RowLogReader(push_log).new_rows()
        truth, stamps = [], []
        while True:
            samples, times = inlet.pull_chunk(max_samples=4096)
            if not len(times):
                break
            truth.append(np.array(samples))
            stamps.append(np.array(times))
        inlet.close_stream()
    column = {name: estimates[:, i] for i, name in enumerate(COLUMNS)}
    pushed = np.rint((column["t_source"] - pushes[0, 0]) / pipeline.bin_s).astype(int)
    first = len(COLUMNS)
    return LiveRun(
        pipeline,
        bundle.manifest.decoder,
        estimates[:, first : first + n_variants],
        estimates[:, first + n_variants :].reshape(-1, n_variants, n_outputs),
        column["flags"].astype(int),
        np.concatenate(stamps),
        np.concatenate(truth),
        (column["t_receive"] - pushes[pushed, 1]) * 1e6,
    )


def draw_demo(run: LiveRun, path: Path) -> None:
    """Decoded against true velocity, and the latency distribution."""
    names = [variant.name for variant in run.pipeline.variants]
    raw, high = names.index("raw"), names.index("high_accuracy")
    settled = (run.flags & int(Flag.WARM_UP)) == 0
    end = float(run.stamps[-1]) - 1.0
    start = end - SHOWN_S
    figure = plt.figure(figsize=(11, 4.6), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(2.5, 1))
    unit = run.pipeline.outputs[0].unit
    scores = {v: mean_r2(*_aligned(run, settled, v)) for v in (raw, high)}
    lookahead_ms = run.pipeline.lookahead[high] * run.pipeline.bin_s * 1e3
    for k, output in enumerate(run.pipeline.outputs[:2]):
        axes = figure.add_subplot(grid[k, 0])
        for v, colour, width, label in (
            (raw, RAW, 0.8, f"decoded, raw (R² {scores[raw]:.2f})"),
            (high, HIGH, 1.8, f"decoded, high_accuracy (R² {scores[high]:.2f})"),
        ):
            shown = settled & (run.t_valid[:, v] >= start) & (run.t_valid[:, v] <= end)
            axes.plot(run.t_valid[shown, v] - start, run.outputs[shown, v, k], color=colour, lw=width, label=label)
        shown = (run.stamps >= start) & (run.stamps <= end)
        axes.plot(run.stamps[shown] - start, run.truth[shown, k], color=TRUTH, lw=1.4, ls=(0, (4, 1.5)), label="true")
        axes.set(xlim=(0, SHOWN_S), ylabel=f"{output.name.replace('_', ' ')}\n({unit})")
        axes.grid(color="#e5e7eb")
        if k == 0:
            axes.tick_params(labelbottom=False)
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=3, frameon=False, fontsize=9)
        else:
            axes.set_xlabel(f"time described by the estimate (s); high_accuracy arrives {lookahead_ms:.0f} ms later")
    _draw_latency(figure.add_subplot(grid[:, 1]), run.latency_us)
    rate = 1 / run.pipeline.bin_s
    figure.suptitle(
        f"Simulated rig, {run.pipeline.n_channels} channels, {rate:g} bins/s, decoder {run.decoder!r}, live over "
        "LSL and ZeroMQ",
        fontsize=11,
    )
    _save(figure, path)


def _draw_latency(axes: plt.Axes, latency_us: np.ndarray) -> None:
    p50, p99 = np.percentile(latency_us, (50, 99))
    high = max(2000.0, float(np.percentile(latency_us, 99.9)))
    edges = np.geomspace(max(50.0, float(latency_us.min()) * 0.9), high, 60)
    axes.hist(np.clip(latency_us, edges[0], edges[-1]), bins=edges, color=HIGH, alpha=0.75)
    for value, name, colour in ((p50, "p50", TRUTH), (p99, "p99", LOW)):
        axes.axvline(value, color=colour, lw=1.3, label=f"{name} {value:,.0f} us")
    axes.set(xscale="log", xlabel="LSL push to ZeroMQ receive (us)", ylabel="bins")
    ticks = [tick for tick in (50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000) if edges[0] <= tick <= edges[-1]]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks], rotation=45)
    axes.minorticks_off()
    axes.set_title(f"latency, {len(latency_us):,} bins", fontsize=10)
    axes.legend(frameon=False, fontsize=9)
    axes.grid(color="#e5e7eb", axis="x")


def _aligned(run: LiveRun, settled: np.ndarray, v: int) -> tuple[np.ndarray, np.ndarray]:
    """True movement and estimate of one variant on the same bins."""
    at = np.rint((run.t_valid[:, v] - run.stamps[0]) / run.pipeline.bin_s).astype(int)
    usable = settled & (at >= 0) & (at < len(run.truth))
    return run.truth[at[usable]], run.outputs[usable, v]


def draw_filters(path: Path) -> None:
    """Impulse response and gain of both variants at the seed paper's settings."""
    rate_hz = 250.0
    settings = BlockFilterSettings(order=4, cutoff_hz=6.25, width=32)
    figure, (impulse, gain) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
    frequencies = np.geomspace(0.5, rate_hz / 2, 800)
    impulse.vlines(0, 0, 1, color=TRUTH, lw=1.4, label="raw (1 at bin 0, 0 elsewhere)")
    gain.axhline(1, color=TRUTH, lw=1.4, label="raw")
    for variant, boundary, colour, style in (
        ("low_latency", "odd", LOW, "-"),
        ("low_latency", "gust", LOW, "--"),
        ("high_accuracy", "odd", HIGH, "-"),
        ("high_accuracy", "gust", HIGH, "--"),
    ):
        taps = filter_taps(variant, settings.model_copy(update={"boundary": boundary}), 1 / rate_hz)  # type: ignore[arg-type]
        shift = filter_lookahead(variant, settings)  # type: ignore[arg-type]
        offset = np.arange(len(taps) - 1, -1, -1) - shift
        impulse.plot(offset, taps, color=colour, ls=style, marker="o", ms=2.5, lw=1, label=f"{variant}, {boundary}")
        gain.plot(frequencies, np.abs(taps_response(taps, frequencies, rate_hz)), color=colour, ls=style)
    impulse.axhline(0, color="#9ca3af", lw=0.8)
    impulse.set(
        ylim=(-0.08, 0.52),
        xlabel="age of the sample against the moment described (bins of 4 ms)",
        ylabel="weight of the sample",
        title="taps",
    )
    impulse.legend(frameon=False, fontsize=9)
    gain.set(xscale="log", xlim=(0.5, rate_hz / 2), ylim=(0, 1.08), xlabel="frequency (Hz)", ylabel="amplitude gain")
    gain.set_title("gain")
    ticks = (0.5, 1, 2, 5, 10, 20, 50, 100)
    gain.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    gain.minorticks_off()
    for axes in (impulse, gain):
        axes.grid(color="#e5e7eb")
    figure.suptitle("Block-bidirectional Bessel filter: order 4, 6.25 Hz, 32 bins of 4 ms", fontsize=11)
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    figure.savefig(path, dpi=110, facecolor="white")
    plt.close(figure)
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


def main() -> None:
    """Draw all pictures, or only those that need no live run."""
    parser = argparse.ArgumentParser(description="Draw the documentation's pictures again.")
    parser.add_argument("--seconds", type=float, default=40.0, help="length of the live run (default %(default)s)")
    parser.add_argument("--only", choices=["demo", "filters"], help="draw one picture")
    options = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    if options.only != "demo":
        draw_filters(PICTURES / "filters.png")
    if options.only != "filters":
        draw_demo(live_run(options.seconds), PICTURES / "demo.png")


if __name__ == "__main__":
    main()
