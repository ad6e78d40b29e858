from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from bmi_decoder.config import InputFilterSettings, SplitSettings
from bmi_decoder.training.code_version import code_version
from bmi_decoder.training.run_key import run_key
from bmi_decoder.training.settings import TrainSettings


def test_a_key_depends_on_everything_that_changes_the_result() -> None:
    base = TrainSettings("lstm", overrides={"hidden": 4})
    others = [
        ("b", base),
        ("a", TrainSettings("lstm", overrides={"hidden": 5})),
        ("a", TrainSettings("lstm", "paper", {"hidden": 4})),
        ("a", TrainSettings("lstm", overrides={"hidden": 4}, seed=1)),
        ("a", TrainSettings("lstm", overrides={"hidden": 4}, input_filter=InputFilterSettings(cutoff_hz=5))),
        ("a", TrainSettings("lstm", overrides={"hidden": 4}, split=SplitSettings(train=0.6, validation=0.2, test=0.2))),
    ]
    keys = {run_key(fingerprint, settings) for fingerprint, settings in [("a", base), *others]}
    assert len(keys) == 1 + len(others)
    assert run_key("a", TrainSettings("lstm", overrides={"hidden": 4})) == run_key("a", base)


def test_code_is_the_module_and_what_it_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_decoders"
    package.mkdir()
    for name, text in (
        ("__init__", ""),
        ("a", "from some_decoders import b\n"),
        ("b", "import os\n"),
        ("c", "import os\n"),
    ):
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    before = code_version("some_decoders.a")
    (package / "c.py").write_text("import sys\n")
    assert code_version("some_decoders.a") == before, "a module that plays no part"
    (package / "b.py").write_text("import sys\n")
    assert code_version("some_decoders.a") != before, "a module that is imported"
    sys.modules.pop("some_decoders", None)
    assert code_version("bmi_decoder.training.train") == code_version("bmi_decoder.training.train")
