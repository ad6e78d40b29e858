"""Checks of a decoder as a torch module: its description, its state, and that all its forms are one function."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable

import safetensors.torch
import torch

from bmi_decoder.decoders.check_probe import N_LANES, Trial, make, refused, same_bits, same_state, stepped
from bmi_decoder.decoders.decoder import Decoder, Preset
from bmi_decoder.training.export import export_weights
from bmi_decoder.training.recipe import Recipe


def check_description(make_decoder: Callable[[], Decoder]) -> None:
    """Check name and summary, and that every preset can be built, for any bins of counts or filtered channels."""
    decoder = make(make_decoder)
    cls = type(decoder)
    for field in ("name", "summary"):
        value = getattr(cls, field, None)
        assert isinstance(value, str) and value and "\n" not in value, f"{field} must be one line; got {value!r}"
    presets = getattr(cls, "presets", {})
    assert "best" in presets, f"presets must have 'best'; got {list(presets)}"
    for name, preset in presets.items():
        assert isinstance(preset, Preset), f"preset {name!r} must be a Preset; got {type(preset).__name__}"
        assert isinstance(preset.recipe, Recipe), f"preset {name!r} must have a Recipe; got {preset.recipe!r}"
        given = copy.deepcopy(preset.hyper_parameters)
        for bin_s, are_counts in ((0.001, True), (0.004, True), (0.05, True), (0.004, False), (0.05, False)):
            settings = cls.adapt(preset.hyper_parameters, bin_s, are_counts)
            assert preset.hyper_parameters == given, f"adapt changes preset {name!r} itself"
            clash = sorted(set(settings) & set(Recipe.model_fields))
            assert not clash, f"hyper-parameters {clash} have the names of training settings, which --set sets"
            try:
                cls(decoder.n_channels, decoder.n_outputs, **settings)
            except Exception as error:
                what = f"{bin_s} s bins of {'counts' if are_counts else 'filtered channels'}"
                raise AssertionError(f"preset {name!r} cannot be built for {what}: {error!r}") from error


def check_rebuild(trial: Trial) -> None:
    """Check that hyper-parameters, as a manifest keeps them, and weights make an equal decoder."""
    decoder = trial.decoder
    try:
        settings = json.loads(json.dumps(decoder.hyper_parameters))
    except TypeError as error:
        raise AssertionError(f"hyper_parameters must be plain JSON: {error}") from error
    assert settings == decoder.hyper_parameters, (
        f"hyper_parameters must survive JSON: {decoder.hyper_parameters} becomes {settings}"
    )
    try:
        again = make(lambda: type(decoder)(decoder.n_channels, decoder.n_outputs, **settings), seed=1)
        again.load_state_dict(safetensors.torch.load(export_weights(decoder)))
    except (TypeError, ValueError, RuntimeError) as error:
        raise AssertionError(f"hyper_parameters do not rebuild the decoder: {error}") from error
    assert again.hyper_parameters == decoder.hyper_parameters, "a rebuilt decoder has other hyper_parameters"
    same_bits(
        stepped(again, trial.x[:, :50], again.initial_state(N_LANES))[0],
        trial.reference[0][:, :50],
        ("a decoder rebuilt from hyper_parameters and weights differs"),
    )


@torch.no_grad()
def check_state(trial: Trial) -> None:
    """Check the state's form, before the first bin and after many."""
    decoder = trial.decoder
    one, start, last = decoder.initial_state(1), decoder.initial_state(N_LANES), trial.reference[1]
    assert isinstance(start, dict), f"the state must be a flat mapping; got {type(start).__name__}"
    assert list(start) == list(last) == list(one), f"the state's fields change: {list(start)} becomes {list(last)}"
    for name, value in [*start.items(), *last.items()]:
        assert isinstance(value, torch.Tensor), f"state field {name!r} must be a tensor; got {type(value).__name__}"
        assert value.dtype == torch.float32, f"state field {name!r} must be float32; got {value.dtype}"
        shape = (N_LANES, *one[name].shape[1:])
        assert value.shape == shape, f"state field {name!r} must be {shape}, batch first; got {tuple(value.shape)}"
    for name, value in start.items():
        same_bits(value, one[name].expand(value.shape), f"initial state field {name!r} differs between lanes")
    kept = {name: value.clone() for name, value in start.items()}
    for value in start.values():
        value.fill_(7.0)
    same_state(decoder.initial_state(N_LANES), kept, "initial_state gives out memory of its own")


@torch.no_grad()
def check_step(trial: Trial) -> None:
    """Check that `step` gives (B, K) float32, is a function of its arguments alone, and leaves them as they are."""
    decoder, x = trial.decoder, trial.x
    weights = {name: value.clone() for name, value in decoder.state_dict().items()}
    state = stepped(decoder, x[:, :10], decoder.initial_state(N_LANES))[1]
    kept = {name: value.clone() for name, value in state.items()}
    row, other = x[:, 10].clone(), x[:, 11].clone()
    y, following = decoder.step(row, state)
    shape = (N_LANES, decoder.n_outputs)
    assert y.shape == shape and y.dtype == torch.float32, f"step must give {shape} float32; got {y.shape} {y.dtype}"
    same_bits(row, x[:, 10], "step changes its input")
    same_state(state, kept, "step changes the state that it was given")
    y, following = y.clone(), {name: value.clone() for name, value in following.items()}
    decoder.step(other, following)
    decoder.forward(x)
    again, following_again = decoder.step(row, state)
    same_bits(again, y, "the same input and state give another output: something outside the state was kept")
    same_state(following_again, following, "the same input and state give another next state")
    for name, value in decoder.state_dict().items():
        same_bits(value, weights[name], f"running the decoder changes its parameter or buffer {name!r}")


@torch.no_grad()
def check_forms(trial: Trial) -> None:
    """Check that `forward` and `scan` equal repeated `step`, in one part and in several."""
    decoder, x = trial.decoder, trial.x
    want, last = trial.reference
    trial.agree(decoder(x), want, "forward differs from repeated step")
    start = decoder.initial_state(N_LANES)
    y, state = decoder.scan(x, start)
    trial.agree(y, want, "scan differs from repeated step")
    assert y.dtype == torch.float32, f"scan must give float32; got {y.dtype}"
    same_state(start, decoder.initial_state(N_LANES), "scan changes the state that it was given")
    assert list(state) == list(last), f"scan must return the fields {list(last)}; got {list(state)}"
    parts, state = [], decoder.initial_state(N_LANES)
    for part in x.tensor_split([1, 2, 9, x.shape[1] // 2], dim=1):
        y, state = decoder.scan(part, state)
        parts.append(y)
    trial.agree(torch.cat(parts, 1), want, "scan in parts, with its state carried on, differs from repeated step")
    for name, value in last.items():
        # A step from here on shows whether two states mean the same; only their shape is compared directly.
        assert state[name].shape == value.shape, f"scan returns state field {name!r} of shape {tuple(value.shape)}"
    after = decoder.step(x[:, 0], state)[0]
    trial.agree(after[:, None], decoder.step(x[:, 0], last)[0][:, None], "scan returns another last state than step")


@torch.no_grad()
def check_lanes(trial: Trial) -> None:
    """Check that lanes of a batch do not touch each other, whatever is in them."""
    decoder, x, want = trial.decoder, trial.x, trial.reference[0]
    for lane in range(N_LANES):
        alone = stepped(decoder, x[lane : lane + 1], decoder.initial_state(1))[0]
        trial.agree(alone, want[lane : lane + 1], "a lane alone differs from the same lane in a batch")
    broken = x.clone()
    broken[1] = float("nan")
    for form, y in (
        ("step", stepped(decoder, broken, decoder.initial_state(N_LANES))[0]),
        ("forward", decoder(broken)),
    ):
        trial.agree(y[::2], want[::2], f"in {form}, a NaN in one lane changes the others")


@torch.no_grad()
def check_liveliness(trial: Trial) -> None:
    """Check that the output depends on the input, so that the other checks mean something."""
    want = trial.reference[0]
    assert not torch.equal(want[0], want[1]), f"the output on {trial.kind} does not depend on the input"


@torch.no_grad()
def check_determinism(trial: Trial) -> None:
    """Check that two decoders of the same seed, and two runs of one, give the same bits."""
    first, second = trial.ready(), trial.ready()
    same_bits(first(trial.x), first(trial.x), "forward gives another output the second time")
    same_bits(first(trial.x), second(trial.x), "two decoders made with the same torch seed differ")


@torch.no_grad()
def check_output_scale(trial: Trial) -> None:
    """Check that `scale_output` multiplies each output."""
    decoder = make(trial.make_decoder)
    decoder.calibrate(trial.x[0])
    before = decoder(trial.x)
    scale = torch.linspace(0.5, 2.0, decoder.n_outputs)
    decoder.scale_output(scale, torch.zeros(decoder.n_outputs))
    scaled, want = decoder(trial.x), before * scale
    worst = float((scaled - want).abs().max())
    assert worst <= 1e-3 * max(1.0, float(want.abs().max())), f"scale_output is off by up to {worst:.2g}"


def check_gradients(trial: Trial) -> None:
    """Check that training can work: finite gradients, not all zero, through windows with their state carried."""
    decoder = make(trial.make_decoder).train()
    decoder.calibrate(trial.x[0])
    torch.manual_seed(0)  # of dropout
    y, state = decoder.scan(trial.x[:, :10], decoder.initial_state(N_LANES))
    y, _ = decoder.scan(trial.x[:, 10:20], {name: value.detach() for name, value in state.items()})
    (y - 1).square().mean().backward()
    gradients = [p.grad for p in decoder.parameters() if p.grad is not None]
    assert all(bool(gradient.isfinite().all()) for gradient in gradients), "a gradient is not finite"
    assert any(bool(gradient.any()) for gradient in gradients), "no parameter has a gradient: nothing can be learned"


@torch.no_grad()
def check_refusals(trial: Trial) -> None:
    """Check that torch's forms refuse input of a wrong shape or dtype with an InputError."""
    decoder, x = trial.decoder, trial.x
    state = decoder.initial_state(N_LANES)
    wider = torch.cat([x, x[..., :1]], -1)
    row = x[:, 0]
    for what, bad in (
        ("one channel too many", wider[:, 0]),
        ("(channels,)", row[0]),
        ("(batch, bins, channels)", x),
        ("float64", row.double()),
        ("integers", row.long()),
    ):
        refused(lambda bad=bad: decoder.step(bad, state), f"step with {what}")  # type: ignore[misc]
    for what, bad in (("one channel too many", wider), ("(batch, channels)", row), ("float64", x.double())):
        refused(lambda bad=bad: decoder.scan(bad, state), f"scan with {what}")  # type: ignore[misc]
        refused(lambda bad=bad: decoder(bad), f"forward with {what}")  # type: ignore[misc]


DESCRIPTION_CHECKS = (check_description,)
TORCH_CHECKS = (
    check_state,
    check_step,
    check_determinism,
    check_liveliness,
    check_forms,
    check_lanes,
    check_output_scale,
    check_gradients,
    check_refusals,
    check_rebuild,
)
