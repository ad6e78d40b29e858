from __future__ import annotations

from pathlib import Path

import pytest

from bmi_decoder.bundle import read_bundle
from bmi_decoder.errors import InputError
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recorded_session import read_session
from tests.control.support import write_linear_bundle
from tests.formats.recorded import N_BINS, write_recorded_session


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    bundle = write_linear_bundle(tmp_path / "linear.bmi")
    return write_recorded_session(tmp_path, bundle, Pipeline(read_bundle(bundle)))


def test_the_decoder_is_in_the_file(recorded: Path, tmp_path: Path) -> None:
    session = read_session(recorded)
    assert session.name == "m1" and session.neural.name == "M1" and len(session.estimates["sequence"]) == N_BINS
    assert session.decoders[session.settings_of(2)["sha256"]] == (tmp_path / "linear.bmi").read_bytes()
    with pytest.raises(InputError, match="revision 3"):
        session.settings_of(3)


@pytest.mark.parametrize(
    ("there", "instead", "said"),
    [
        (b'"bundle":"UEsD', b'"bundle":"VEsD', "decoder .* damaged"),
        (b'"stream":{"name":"M1"', b'"strean":{"name":"M1"', "makes no sense"),
        (b'"stream":{"name":"M1"', b'"stream":{"name":"M2"', "exactly once"),
    ],
)
def test_damage_is_named(recorded: Path, there: bytes, instead: bytes, said: str) -> None:
    content = recorded.read_bytes()
    assert there in content
    recorded.write_bytes(content.replace(there, instead))
    with pytest.raises(InputError, match=said):
        read_session(recorded)
