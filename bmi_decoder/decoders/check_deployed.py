"""Checks of a decoder as it runs live: in the streaming machine or ONNX Runtime, from bytes and from a bundle."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from bmi_decoder.bundle import read_bundle, write_bundle
from bmi_decoder.config import OutputFilterSettings
from bmi_decoder.decoders.check_probe import Trial, refused, same_bits
from bmi_decoder.machine.executor import Executor
from bmi_decoder.machine.program import Program
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.training.export import lower
from bmi_decoder.training.untrained import bundle_of

N_CHUNKINGS = 6


def check_agreement(trial: Trial) -> None:
    """Check the machine and ONNX Runtime against torch's `step`."""
    want = trial.reference[0][0]
    if lower(trial.decoder) is not None:
        trial.agree(trial.engine().run(trial.row_input), want, "the streaming machine differs from torch")
    trial.agree(trial.onnx_engine().run(trial.row_input), want, "the ONNX step differs from torch")


def check_membranes(trial: Trial) -> None:
    """Check that neurons in front of real-valued layers hold the same numbers everywhere, bit for bit.

    One spike more or less would show in them for good. A decoder that is exact throughout shows it in its output.
    """
    decoder = trial.decoder
    if type(decoder).exact is not False:
        return
    last = {name: value[0].flatten() for name, value in trial.reference[1].items()}
    want = np.concatenate([*(value for name, value in last.items() if name.endswith("lif.membrane")), np.zeros(0)])
    program = lower(decoder)
    if program is not None:
        engine = Executor(program)
        engine.run(trial.row_input)
        state = engine.state()
        fields = [(at, n) for name, (at, n) in program.state_fields.items() if name.startswith("lif.membrane")]
        got = np.concatenate([*(state[at : at + n] for at, n in fields), np.zeros(0)])
        same_bits(got, want, f"membranes in the streaming machine differ from torch, on {trial.kind}")
    onnx_engine = trial.onnx_engine()
    onnx_engine.run(trial.row_input)
    ends = np.cumsum([len(value) for value in last.values()])
    parts = dict(zip(last, np.split(onnx_engine.state(), ends), strict=False))
    got = np.concatenate([*(value for name, value in parts.items() if name.endswith("lif.membrane")), np.zeros(0)])
    same_bits(got, want, f"membranes in ONNX differ from torch, on {trial.kind}")


def check_chunks(trial: Trial) -> None:
    """Check that outputs are the same, bit for bit, however rows are cut into chunks."""
    rows, rng = trial.row_input, np.random.default_rng(1)
    engine = trial.engine()
    whole = engine.run(rows)
    # Chunks are empty where a cut repeats; in the last round every row is a chunk of its own.
    chunkings = [np.sort(rng.integers(0, len(rows) + 1, size=2 + 3 * i)) for i in range(N_CHUNKINGS)]
    for cuts in [*chunkings, np.arange(len(rows))]:
        engine.reset()
        parts = [engine.run(part) for part in np.split(rows, cuts)]
        same_bits(np.concatenate(parts), whole, f"outputs depend on chunks, cut at {cuts.tolist()}")


def check_reset(trial: Trial) -> None:
    """Check that a reset leads back to the start, also after input that is not finite."""
    rows, engine = trial.row_input, trial.engine()
    start, whole = engine.state(), engine.run(rows)
    assert start.dtype == np.float32 and start.ndim == 1, f"state() must be a float32 vector; got {start.dtype}"
    same_bits(trial.engine().run(rows), whole, "two fresh engines differ")
    bad = rows.copy()
    bad[1::4], bad[2::4], bad[3::4] = np.nan, np.inf, -3e38
    for what, before in (("", rows), (" and non-finite input", bad)):
        engine.run(before)
        engine.reset()
        same_bits(engine.state(), start, f"the state after a reset{what} is not that of a fresh engine")
        same_bits(engine.run(rows), whole, f"the output after a reset{what} is not that of a fresh engine")


def check_saved_state(trial: Trial) -> None:
    """Check that a state saved in mid-stream lets a fresh engine go on identically."""
    rows, engine = trial.row_input, trial.engine()
    cut = len(rows) // 2 + 1
    engine.run(rows[:cut])
    saved = engine.state()
    want = engine.run(rows[cut:])
    fresh = trial.engine()
    fresh.run(rows[:3])
    fresh.load_state(saved)
    kept = saved.copy()
    same_bits(fresh.run(rows[cut:]), want, "an engine that loaded a state goes on differently")
    same_bits(saved, kept, "state() or load_state() must copy: a saved state changed while the engine ran")
    refused(lambda: fresh.load_state(np.append(saved, np.float32(0))), "a state that is too long")
    if saved.size:
        refused(lambda: fresh.load_state(saved.astype(np.float64)), "a float64 state")


def check_refusals(trial: Trial) -> None:
    """Check that the engine refuses input of a wrong shape or dtype with an InputError."""
    rows, engine = trial.row_input, trial.engine()
    assert engine.run(rows[:0]).shape == (0, trial.decoder.n_outputs), "no rows must give no rows"
    refused(lambda: engine.run(np.append(rows, rows[:, :1], 1)), "one channel too many")
    refused(lambda: engine.run(rows[0]), "a row without a bin axis")
    refused(lambda: engine.run(rows.astype(str)), "text")
    refused(lambda: engine.run(rows.astype(complex)), "complex numbers")


def check_program_bytes(trial: Trial) -> None:
    """Check that a program is the same after a round trip through bytes."""
    program = lower(trial.decoder)
    if program is None:
        return
    data = program.to_bytes()
    again = Program.from_bytes(data)
    assert again.to_bytes() == data, "a program that was read writes other bytes"
    rows = trial.row_input
    same_bits(Executor(again).run(rows), Executor(program).run(rows), "a program differs after a round trip")


def check_bundle(trial: Trial) -> None:
    """Check that a pipeline from a bundle file decodes as the engine does."""
    bundle = bundle_of(trial.decoder, 0.004, source="check_decoder")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "decoder.bmi"
        write_bundle(bundle, path)
        pipeline = Pipeline(read_bundle(path), OutputFilterSettings())
    raw = pipeline.run(trial.row_input)[:, 0]
    same_bits(raw, trial.engine().run(trial.row_input), "the decoder differs after a round trip through a bundle")


DEPLOYED_CHECKS = (
    check_agreement,
    check_membranes,
    check_chunks,
    check_reset,
    check_saved_state,
    check_refusals,
    check_program_bytes,
    check_bundle,
)
