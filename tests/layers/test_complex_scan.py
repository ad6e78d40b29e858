"""Complex scans over all bins against a plain recurrence in double precision, and their gradients against autograd."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bmi_decoder.layers.complex_scan import associative_scan, complex_scan

FORMS = [pytest.param(complex_scan, id="compiled"), pytest.param(associative_scan, id="associative")]


def problem(n_bins: int, n: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """Drive, first state and poles from slow to fast, up to time constants of 1,000 bins."""
    generator = torch.Generator().manual_seed(0)
    size, angle = torch.exp(-torch.logspace(-3, 0, n)), torch.linspace(-3, 3, n)
    poles = torch.cat([size * torch.cos(angle), size * torch.sin(angle)])
    drive = torch.randn(3, n_bins, 2 * n, generator=generator) * (1 - size**2).sqrt().repeat(2)
    return drive, torch.randn(3, 2 * n, generator=generator), poles


def recurrence(drive: Tensor, initial: Tensor, poles: Tensor) -> Tensor:
    a, z = (torch.complex(*value.double().chunk(2, -1)) for value in (poles, initial))
    states = []
    for d in torch.complex(*drive.double().chunk(2, -1)).unbind(1):
        z = a * z + d
        states.append(torch.cat([z.real, z.imag], -1))
    return torch.stack(states, 1)


@pytest.mark.parametrize("scan", FORMS)
@pytest.mark.parametrize("n_bins", [1, 2, 3, 64, 65, 2000])
def test_is_the_recurrence(scan, n_bins: int) -> None:  # type: ignore[no-untyped-def]
    arguments = problem(n_bins)
    want = recurrence(*arguments)
    assert want.abs().max() > 0.5
    torch.testing.assert_close(scan(*arguments).double(), want, rtol=0, atol=1e-4)


def gradients(scan, n_bins: int) -> list[Tensor]:  # type: ignore[no-untyped-def]
    arguments = [value.requires_grad_() for value in problem(n_bins)]
    states = scan(*arguments)
    weight = torch.randn(states.shape, generator=torch.Generator().manual_seed(1))
    (states * weight).sum().backward()
    return [value.grad for value in arguments]  # type: ignore[misc]


@pytest.mark.parametrize("scan", FORMS)
@pytest.mark.parametrize("n_bins", [1, 50, 700])
def test_gradients_are_those_of_the_recurrence(scan, n_bins: int) -> None:  # type: ignore[no-untyped-def]
    for got, want in zip(gradients(scan, n_bins), gradients(recurrence, n_bins), strict=True):
        assert want.abs().max() > 1e-3
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-4 * float(want.abs().max()))


def test_arguments_may_be_views() -> None:
    drive, initial, poles = problem(30)
    views = drive.transpose(0, 1).contiguous().transpose(0, 1), initial.repeat(1, 2)[:, :12], poles.repeat(2)[:12]
    assert torch.equal(complex_scan(*views), complex_scan(drive, initial, poles))
