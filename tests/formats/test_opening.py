import os
from pathlib import Path

import pytest

from bmi_decoder.errors import InputError
from bmi_decoder.formats.opening import file_head


def test_head_is_cut_at_the_asked_length(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abcdef")
    assert file_head(tmp_path / "f", 3) == b"abc"
    assert file_head(tmp_path / "f", 99) == b"abcdef"


def test_errors_say_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name, reason in [
        ("none", "no such file"),
        (".", "is a folder"),
        ("empty", "empty"),
        ("a\0b", "cannot"),
    ]:
        with pytest.raises(InputError, match=reason):
            file_head(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    (tmp_path / "f").chmod(0)
    with pytest.raises(InputError, match="Permission denied"):
        file_head(tmp_path / "f")


@pytest.mark.timeout(10)
def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError):
        file_head(tmp_path / "pipe")
