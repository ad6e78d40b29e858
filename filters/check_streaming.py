"""Checks of a filter as a stream: chunks, steps, state, input that must be refused."""

from functools import partial

import numpy as np

from filters.check_probe import MakeFilter, refused, same_bits, samples_for, span_of

N_CHUNKINGS = 12


def check_figures(make_filter: MakeFilter) -> None:
    """Check that the declared figures are possible and agree with each other."""
    f = make_filter()
    assert f.n_channels >= 1, f"n_channels must be at least 1; got {f.n_channels}"
    assert f.rate_hz > 0, f"rate_hz must be above 0; got {f.rate_hz}"
    memory = f.memory_samples
    assert memory is None or memory >= 1, f"memory_samples must be None or at least 1; got {memory}"
    last = np.inf if memory is None else memory - 1
    assert 0 <= f.lookahead_samples <= last, f"lookahead_samples must be in 0..{last}; got {f.lookahead_samples}"
    for name, samples, seconds in (("lag", f.lag_samples, f.lag_s), ("delay", f.delay_samples, f.delay_s)):
        assert np.isclose(seconds * f.rate_hz, samples), f"{name}_s must be {name}_samples / rate_hz; got {seconds}"


def check_chunks(make_filter: MakeFilter) -> None:
    """Check that outputs and `warming_up` are the same, bit for bit, however samples are cut into chunks."""
    samples = samples_for(make_filter)
    rng = np.random.default_rng(1)
    f = make_filter()
    whole = f.process(samples)
    assert whole.shape == samples.shape, f"process must keep the shape {samples.shape}; got {whole.shape}"
    assert whole.dtype == np.float64, f"process must return float64; got {whole.dtype}"
    for i in range(N_CHUNKINGS):
        # Chunks are empty where a cut repeats; the last rounds cut often, down to single samples.
        cuts = np.sort(rng.integers(0, len(samples) + 1, size=3 + i * len(samples) // N_CHUNKINGS))
        g = make_filter()
        parts = [g.process(chunk) for chunk in np.split(samples, cuts)]
        same_bits(np.concatenate(parts), whole, f"chunk dependence: outputs differ when cut at {cuts.tolist()}")
        assert g.warming_up == f.warming_up, "chunk dependence: warming_up differs"


def check_step(make_filter: MakeFilter) -> None:
    """Check that `step` is `process` on one row, and may be mixed with it."""
    samples = samples_for(make_filter)
    f, g, mixed = make_filter(), make_filter(), make_filter()
    steps = np.stack([f.step(x) for x in samples])
    same_bits(steps, g.process(samples), "step differs from process")
    cut = len(samples) // 2
    parts = [
        mixed.process(samples[:cut]),
        *(mixed.step(x)[None] for x in samples[cut : cut + 5]),
        mixed.process(samples[cut + 5 :]),
    ]
    same_bits(np.concatenate(parts), steps, "step mixed with process differs from step alone")


def check_warm_up(make_filter: MakeFilter) -> None:
    """Check that `warming_up` ends with the sample that fills a finite memory; without one it is False."""
    f = make_filter()
    memory = f.memory_samples
    for i, x in enumerate(samples_for(make_filter), start=1):
        f.step(x)
        want = memory is not None and i < memory
        assert f.warming_up is want, (
            f"warming_up must be {want} after {i} samples with memory {memory}; got {f.warming_up}"
        )


def check_reset(make_filter: MakeFilter) -> None:
    """Check that `reset` leads back to the start."""
    samples = samples_for(make_filter)
    f, fresh = make_filter(), make_filter()
    f.process(samples[::-1])
    f.reset()
    assert f.warming_up == fresh.warming_up, "reset: warming_up is not that of a new filter"
    same_bits(f.process(samples), fresh.process(samples), "reset: outputs differ from those of a new filter")


def check_state(make_filter: MakeFilter) -> None:
    """Check that a state saved in mid-stream and loaded into a new filter goes on as if nothing happened."""
    samples = samples_for(make_filter)
    whole = make_filter().process(samples)
    for cut in (0, 1, span_of(make_filter) // 2, span_of(make_filter), len(samples) - 2):
        f, g = make_filter(), make_filter()
        f.process(samples[:cut])
        saved = f.state()
        assert all(isinstance(v, np.ndarray) for v in saved.values()), "state must be a mapping of arrays"
        same_bits(f.process(samples[cut:]), whole[cut:], f"state: saving after {cut} samples disturbed the filter")
        # Loaded twice: into a new filter, and over the state of a used one. The run between must not have
        # written into the saved arrays.
        for attempt in ("", " a second time"):
            g.load_state(saved)
            same_bits(
                g.process(samples[cut:]),
                whole[cut:],
                f"state: saved after {cut} samples and loaded{attempt}, outputs differ",
            )
        assert g.warming_up == f.warming_up, f"state: warming_up is lost when saved after {cut} samples"


def check_state_refusal(make_filter: MakeFilter) -> None:
    """Check that a state with wrong names, shapes or dtypes is refused and changes nothing."""
    samples = samples_for(make_filter)
    f = make_filter()
    f.process(samples)
    good, after = f.state(), make_filter()
    after.process(samples)
    expected = after.process(samples)
    assert good, "state must hold at least one array"
    for name, array in good.items():
        broken = {
            "missing": {k: v for k, v in good.items() if k != name},
            "misshapen": good | {name: np.stack([array, array])},
            "retyped": good | {name: array.astype(np.complex64)},
        }
        for kind, state in broken.items():
            refused(partial(f.load_state, state), f"load_state accepted a state with {name!r} {kind}")
    refused(lambda: f.load_state(good | {"no such array": np.zeros(1)}), "load_state accepted an extra array")
    same_bits(f.process(samples), expected, "a refused state changed the filter")


def check_determinism(make_filter: MakeFilter) -> None:
    """Check for equal output on equal input, an input left alone and outputs that stay as they were."""
    samples = samples_for(make_filter)
    given = samples.copy()
    f = make_filter()
    first = f.process(given)
    kept = first.copy()
    one = f.step(given[0])
    kept_one = one.copy()
    f.step(given[1])
    given_after = given.copy()
    given[:] = 0
    same_bits(given_after, samples, "process or step changed its input")
    same_bits(first, kept, "outputs of process were overwritten by later samples or share memory with the input")
    same_bits(one, kept_one, "outputs of step were overwritten by later samples or share memory with the input")
    same_bits(make_filter().process(samples), kept, "two new filters give different outputs")
    again = make_filter()
    again.process(samples[:-1])
    held = samples[-1:].copy()
    again.process(held)
    held[:] = np.nan
    same_bits(again.step(samples[0]), kept_one, "the filter kept a reference to its input")


def check_dtypes(make_filter: MakeFilter) -> None:
    """Check that integers and float32 are filtered as the float64 values that they are."""
    counts = np.random.default_rng(2).integers(0, 5, size=samples_for(make_filter).shape)
    expected = make_filter().process(counts.astype(np.float64))
    for dtype in (np.int64, np.uint8, np.float32):
        same_bits(
            make_filter().process(counts.astype(dtype)),
            expected,
            f"{np.dtype(dtype)} gives other outputs than float64",
        )


def check_channels(make_filter: MakeFilter) -> None:
    """Check that every channel is filtered in the same way, whatever the others carry."""
    samples = samples_for(make_filter)
    alike = np.repeat(samples[:, :1], samples.shape[1], axis=1)
    mixed, same = make_filter().process(samples), make_filter().process(alike)
    for channel in range(samples.shape[1]):
        same_bits(
            same[:, channel],
            mixed[:, 0],
            f"channel {channel} is filtered otherwise than channel 0, or they mix",
        )


def check_refusal(make_filter: MakeFilter) -> None:
    """Check that samples of the wrong shape or type are refused and change nothing."""
    samples = samples_for(make_filter)
    f, after = make_filter(), make_filter()
    f.process(samples)
    after.process(samples)
    c = f.n_channels
    chunks = {
        "one channel too many": np.zeros((3, c + 1)),
        "one channel too few": np.zeros((3, c - 1)),
        "an empty chunk with a channel too many": np.zeros((0, c + 1)),
        "1-D": np.zeros(c),
        "3-D": np.zeros((1, 3, c)),
        "text": np.full((3, c), "1"),
        "objects": np.full((3, c), None),
        "complex numbers": np.zeros((3, c), dtype=complex),
    }
    for kind, chunk in chunks.items():
        refused(partial(f.process, chunk), f"process accepted a chunk that is wrong: {kind}")
    rows = {
        "one channel too many": np.zeros(c + 1),
        "one channel too few": np.zeros(c - 1),
        "0-D": np.zeros(()),
        "2-D": np.zeros((1, c)),
        "text": np.full(c, "1"),
    }
    for kind, row in rows.items():
        refused(partial(f.step, row), f"step accepted a sample that is wrong: {kind}")
    same_bits(f.process(samples), after.process(samples), "refused input changed the filter")


def check_nan(make_filter: MakeFilter) -> None:
    """Check that NaN shows in every output that depends on it and nowhere else."""
    samples = samples_for(make_filter)
    span = span_of(make_filter)
    spoilt = samples.copy()
    spoilt[span, 0] = np.nan
    f, g = make_filter(), make_filter()
    clean, got = f.process(samples), g.process(spoilt)
    same_bits(got[:span], clean[:span], "NaN: outputs before it differ")
    same_bits(got[:, 1:], clean[:, 1:], "NaN: it spread to other channels")
    if f.memory_samples is None:
        assert np.isnan(got[span, 0]), "NaN: the output at a NaN sample is a number"
    else:
        last = span + f.memory_samples
        assert np.isnan(got[span:last, 0]).all(), "NaN: an output whose memory holds a NaN is a number"
        same_bits(got[last:], clean[last:], f"NaN: no recovery after {f.memory_samples} samples")
    g.reset()
    same_bits(g.process(samples), clean, "NaN: it outlives reset")


STREAMING_CHECKS = (
    check_figures,
    check_chunks,
    check_step,
    check_warm_up,
    check_reset,
    check_state,
    check_state_refusal,
    check_determinism,
    check_dtypes,
    check_channels,
    check_refusal,
    check_nan,
)
