import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bmi_decoder.errors import InputError
from bmi_decoder.formats import read_npz, read_provenance, write_npz
from bmi_decoder.simulation import (
    PopulationSettings,
    ReachSettings,
    SubjectSettings,
    provenance,
    reproduce,
    settings_from_provenance,
    simulate,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(
    seeds=st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1)),
    bin_s=st.floats(0.001, 0.1),
    n_channels=st.integers(1, 12),
    workspace_m=st.floats(0.08, 3.0),
    spiking=st.sampled_from(["bernoulli", "poisson"]),
)
def test_a_file_holds_all_that_is_needed_to_make_it_again(
    seeds: tuple[int, int], bin_s: float, n_channels: int, workspace_m: float, spiking: Any, tmp_path: Path
) -> None:
    chosen = SubjectSettings(
        subject_seed=seeds[0],
        seed=seeds[1],
        bin_s=bin_s,
        reaches=ReachSettings(workspace_m=workspace_m),
        population=PopulationSettings(n_channels=n_channels, spiking=spiking),
    )
    path = tmp_path / "simulated.npz"
    write_npz(simulate(chosen, 1.5), path, provenance(chosen, 1.5))
    record = read_provenance(path)
    assert record is not None
    assert settings_from_provenance(record) == (chosen, 1.5)
    assert reproduce(record).fingerprint() == read_npz(path).fingerprint()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"simulator": "another"}, "must be of simulator 'bmi_decoder.simulation'"),
        ({"version": 99}, "simulator version 99, this program has 1"),
        ({"seconds": -1.0}, "provenance: seconds: .* greater than 0"),
        ({"seconds": 10**400}, "provenance: seconds"),
        ({"settings": {"seed": "x"}}, "provenance: settings.seed: "),
        ({"settings": {"sede": 1}}, "provenance: settings.sede: Extra inputs"),
        ({"settings": None}, "provenance: settings: "),
        ({"more": 1}, "provenance: more: Extra inputs"),
    ],
)
def test_a_bad_record_is_refused(change: dict[str, Any], reason: str) -> None:
    record = json.loads(json.dumps(provenance(SubjectSettings(), 1.0)))
    with pytest.raises(InputError, match=reason):
        settings_from_provenance(record | change)


def test_a_missing_length_is_named() -> None:
    record = provenance(SubjectSettings(), 1.0)
    del record["seconds"]
    with pytest.raises(InputError, match="provenance: seconds: Field required"):
        settings_from_provenance(record)
