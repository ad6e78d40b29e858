"""Objectives that exist only while training."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from bmi_decoder.decoders.ae_gru import AeGruDecoder
from bmi_decoder.decoders.ae_gru_training import EarlierWindows, Sampling
from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.decoders.gru import GruDecoder
from bmi_decoder.decoders.snn_streaming import SnnStreamingDecoder
from bmi_decoder.errors import InputError
from bmi_decoder.training.auxiliary import Auxiliary, Objectives, Window, tapped_width
from bmi_decoder.training.checkpoint import Checkpoint
from bmi_decoder.training.fit import fit
from bmi_decoder.training.position import PositionTargets, position_targets
from bmi_decoder.training.recipe import Recipe
from bmi_decoder.training.reconstruction import Reconstruction
from bmi_decoder.training.settings import TrainSettings
from bmi_decoder.training.train import train
from tests.decoders.plugin import SmoothDecoder
from tests.evaluation.support import N_CHANNELS, recording
from tests.training.test_checkpoint import parts

POSITION = Recipe(epochs=4, position_weight=0.5, position_tau_s=0.4)


def gru(**settings: object) -> Decoder:
    torch.manual_seed(3)
    return GruDecoder(N_CHANNELS, 2, **{"hidden": 6, "dropout": 0.3, **settings})  # type: ignore[arg-type]


def ae_gru() -> Decoder:
    torch.manual_seed(3)
    return AeGruDecoder(
        N_CHANNELS, 2, latent=5, hidden=6, windows=3, bin_s=0.05, reconstruction=0.3, sampling=7, earlier_labels=True
    )


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def weights(decoder: Decoder, recipe: Recipe, seed: int = 5, checkpoint: Checkpoint | None = None) -> list[Tensor]:
    fit(decoder, *parts(), recipe, 0.05, seed, True, checkpoint=checkpoint)
    return list(decoder.state_dict().values())


def equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


class Bent(Auxiliary):
    """Doubles a layer's output, and asks for the size of it."""

    taps = ("dropout",)

    def passed_on(self, name: str, value: Tensor) -> Tensor:
        return 2 * value

    def targets(self, y: Tensor) -> Tensor:
        return 10 * y[:, :1]

    def loss(self, window: Window) -> Tensor:
        return window.seen["dropout"].square().sum() + window.targets.sum() + window.x.sum()


class TestObjectives:
    def test_the_loss_is_the_sum_over_the_bins_behind_the_settling_ones(self) -> None:
        decoder, y = gru().eval(), normal(50, 2)
        objectives = Objectives([Bent()])
        targets = objectives.with_targets(y)
        assert torch.equal(targets, torch.cat([y, 10 * y[:, :1]], 1))
        x, wanted = parts()[0].x[:20].reshape(2, 10, -1), targets[:20].reshape(2, 10, 3)
        with torch.no_grad():
            estimate, _ = objectives.scan(decoder, x, decoder.initial_state(2))
            loss = objectives.loss(estimate, x, wanted, 4)
            layers = decoder.stack.layers  # type: ignore[union-attr]
            features = x
            for name in ("normalise", "gru"):
                features, _ = layers[name].scan(features, layers[name].initial_state(2))
            want = layers["readout"].linear(2 * features)
            torch.testing.assert_close(estimate, want, rtol=0, atol=1e-6)
            error = (want - wanted[..., :2])[:, 4:].square().mean()
            other = (2 * features)[:, 4:].square().sum() + wanted[:, 4:, 2].sum() + x[:, 4:].sum()
        assert float(loss) == pytest.approx(float(error + other), rel=1e-5)

    def test_without_auxiliaries_it_is_the_squared_error(self) -> None:
        decoder = SmoothDecoder(N_CHANNELS, 2)  # which has no layers to look at
        objectives = Objectives([])
        y = objectives.with_targets(normal(50, 2))[None]
        x = parts()[0].x[None, :50]
        estimate, _ = objectives.scan(decoder, x, decoder.initial_state(1))
        loss = objectives.loss(estimate, x, y, 0)
        assert torch.equal(loss, torch.nn.functional.mse_loss(estimate, y))

    def test_a_layer_that_is_not_there_gets_a_clear_error(self) -> None:
        with pytest.raises(InputError, match=r"decoder 'gru': there is no layer 'lstm'; there are normalise, "):
            tapped_width(gru(), "lstm")

    def test_looking_for_a_width_leaves_the_decoder_as_it_was(self) -> None:
        decoder = ae_gru().train()
        before = [value.clone() for value in decoder.state_dict().values()]
        assert tapped_width(decoder, "network.latent") == 5
        assert decoder.training and equal(before, list(decoder.state_dict().values()))


class TestInTheLoop:
    @pytest.mark.parametrize("make", [gru, ae_gru])
    def test_the_seed_determines_everything(self, make: object) -> None:
        first = weights(make(), POSITION)  # type: ignore[operator]
        torch.rand(17)
        assert equal(first, weights(make(), POSITION))  # type: ignore[operator]
        assert not equal(first, weights(make(), POSITION, seed=6))  # type: ignore[operator]

    @pytest.mark.parametrize("make", [gru, ae_gru])
    def test_a_killed_run_ends_with_the_same_bits(self, make: object, tmp_path: Path) -> None:
        whole = weights(make(), POSITION)  # type: ignore[operator]

        def interrupt(epoch: int, total: int, score: float) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

        keeper = Checkpoint(tmp_path / "c", "key", interval_s=0)
        with pytest.raises(KeyboardInterrupt):
            fit(make(), *parts(), POSITION, 0.05, 5, True, interrupt, keeper)  # type: ignore[operator]
        resumed = weights(make(), POSITION, checkpoint=Checkpoint(tmp_path / "c", "key", resume=True))  # type: ignore[operator]
        assert equal(whole, resumed)

    def test_it_changes_what_is_learned_and_nothing_of_it_is_exported(self) -> None:
        settings = {"hidden": 5, "epochs": 2}
        without = train(recording(1500), TrainSettings("gru", "paper", settings))
        bundle = train(recording(1500), TrainSettings("gru", "paper", {**settings, "position_weight": 0.5}))
        assert bundle.weights != without.weights
        assert len(bundle.weights) == len(without.weights)
        assert bundle.manifest.training is not None and bundle.manifest.training.recipe["position_weight"] == 0.5

    def test_the_readout_of_the_position_learns_it(self) -> None:
        """Judged by the loss on the last windows against the first."""
        told: list[float] = []

        class Told(PositionTargets):
            def loss(self, window: Window) -> Tensor:
                value = super().loss(window)
                told.append(float(value.detach()) / self.weight)
                return value

        decoder = gru(hidden=24, dropout=0.0)
        decoder.auxiliaries = lambda are_counts: [Told("gru", 24, 2, 0.5, 0.4, 0.05)]  # type: ignore[method-assign]
        fit(decoder, *parts(), Recipe(epochs=15, learning_rate=1e-2, lanes=2), 0.05, 5, True)
        assert np.mean(told[:3]) > 0.8
        assert np.mean(told[-12:]) < 0.5 * np.mean(told[:3])

    @pytest.mark.parametrize("decoder", [SmoothDecoder(N_CHANNELS, 2), SnnStreamingDecoder(N_CHANNELS, 2)])
    def test_a_decoder_without_features_is_refused(self, decoder: Decoder) -> None:
        with pytest.raises(InputError, match="names no layer that a second readout could read; position_weight must"):
            fit(decoder, *parts(), POSITION, 0.05, 5, True)

    def test_off_by_default(self) -> None:
        assert position_targets(SmoothDecoder(N_CHANNELS, 2), Recipe(), 0.05) == []


def test_position_is_the_leaky_integral_of_velocity() -> None:
    y = normal(400, 2)
    y[:, 1] = 0
    targets = PositionTargets("gru", 6, 2, weight=1, tau_s=0.5, bin_s=0.05).targets(y)
    position, want = 0.0, []
    for velocity in y[:, 0].tolist():
        position = math.exp(-0.1) * position + velocity
        want.append(position)
    column = torch.tensor(want)
    torch.testing.assert_close(targets[:, 0], (column - column.mean()) / column.std(), rtol=0, atol=1e-5)
    assert not targets[:, 1].any(), "what does not move stays 0"


@pytest.mark.parametrize("of", [None, "windows"])
def test_reconstruction_is_the_likelihood_of_poisson_counts(of: str | None) -> None:
    torch.manual_seed(0)
    auxiliary = Reconstruction("latent", 4, 3, weight=0.25, of=of)
    features = normal(2, 9, 4) if of is None else normal(2, 9, 5, 4)
    counts = torch.poisson(torch.full((*features.shape[:-1], 3), 1.5))
    given = counts if of is None else counts.flatten(2)
    x = counts if of is None else torch.full((2, 9, 3), 1e9)
    window = Window(x, x[..., :0], {"latent": features, "windows": given})
    loss = float(auxiliary.loss(window).detach())
    rates = torch.exp(auxiliary.readout(features)).detach().double().numpy()
    n = counts.numpy()
    log_likelihood = stats.poisson.logpmf(n, rates) + np.vectorize(math.lgamma)(n + 1)
    assert loss == pytest.approx(-0.25 * log_likelihood.mean(), rel=1e-4)


def test_samples_have_the_deviation_of_their_branch() -> None:
    torch.manual_seed(0)
    auxiliary = Sampling("compress", "latent", 3, 8, 2)
    features, latent = normal(1, 1, 3).expand(1, 20_000, 3), normal(1, 1, 2).expand(1, 20_000, 2)
    assert auxiliary.passed_on("compress", features) is features
    samples = auxiliary.passed_on("latent", latent)[0].detach()
    deviation = torch.exp(0.5 * auxiliary.log_variance(features[0, 0])).detach()
    assert samples.mean(0).numpy() == pytest.approx(latent[0, 0].numpy(), abs=0.05)
    assert samples.std(0).numpy() == pytest.approx(deviation.numpy(), rel=0.03)


def test_earlier_windows_are_judged_by_the_bins_in_which_they_end() -> None:
    y = normal(60, 2)
    auxiliary = EarlierWindows("network.gru", lambda h: h, n_windows=3, width=4)
    targets = auxiliary.targets(y)
    assert torch.equal(targets[8:], torch.cat([y[:-8], y[4:-4]], 1))
    assert torch.equal(targets[0], torch.cat([y[0], y[0]]))
    hidden = normal(1, 60, 3, 2)
    loss = auxiliary.loss(Window(y[None], targets[None], {"network.gru": hidden}))
    earlier = [(hidden[0, :, k] - targets[:, 2 * k : 2 * k + 2]).square().mean() for k in (0, 1)]
    assert float(loss) == pytest.approx(float(sum(earlier)), rel=1e-5), "the last window is the decoder's own error"


def test_counts_are_not_reconstructed_from_filtered_channels() -> None:
    preset = AeGruDecoder.presets["paper"].hyper_parameters
    assert AeGruDecoder.adapt(preset, 0.05, are_counts=False)["reconstruction"] == 0
    with pytest.raises(InputError, match="reconstruction is a loss of spike counts"):
        ae_gru().auxiliaries(are_counts=False)
