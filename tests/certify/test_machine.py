"""Checks of the machine, with facts of machines that nobody has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bmi_decoder.errors import BmiError
from bmi_decoder.rest_models import RealtimeGrant
from services.certify import compiled
from services.certify.compiled import CompiledFacts, check_compiled
from services.certify.disk import DiskFacts, check_disk, disk_facts
from services.certify.finding import Finding, passed
from services.certify.limits import Limits
from services.certify.memory import MemoryFacts, check_memory
from services.certify.processor import ProcessorFacts, check_processor
from services.certify.rights import check_rights, rights_facts

GOOD = ProcessorFacts(("performance",), "tsc", 4, 0.3, False)
GB = 10**9


def verdicts(findings: list[Finding]) -> dict[str, str]:
    return {one.check: one.verdict for one in findings}


def test_a_failure_needs_a_remedy() -> None:
    with pytest.raises(ValueError, match="needs a remedy"):
        Finding("machine", "x", "fail", "broken")


def test_a_warning_is_no_failure() -> None:
    assert passed([Finding("a", "x", "pass", ""), Finding("a", "y", "warn", "")])
    assert not passed([Finding("a", "x", "pass", ""), Finding("a", "y", "fail", "", "do this")])


def test_a_good_processor() -> None:
    assert verdicts(check_processor(GOOD)) == {"CPU governor": "pass", "clock source": "pass", "load": "pass"}


@pytest.mark.parametrize(
    ("changes", "check", "verdict", "remedy"),
    [
        ({"governors": ("performance", "powersave")}, "CPU governor", "warn", "cpupower frequency-set -g performance"),
        ({"governors": (), "virtual": True}, "CPU governor", "warn", "virtual machine"),
        ({"clock_source": "hpet"}, "clock source", "fail", "clocksource=tsc"),
        ({"clock_source": None}, "clock source", "warn", "made for Linux"),
        ({"load": 3.5}, "load", "warn", "something else is busy"),
        ({"usable": 1}, "load", "warn", "a second"),
    ],
)
def test_a_processor_that_is_not(changes: dict[str, object], check: str, verdict: str, remedy: str) -> None:
    finding = next(one for one in check_processor(replace(GOOD, **changes)) if one.check == check)  # type: ignore[arg-type]
    assert finding.verdict == verdict
    assert remedy in finding.remedy


def test_memory() -> None:
    good = MemoryFacts(8 * GB, 16 * GB, 0, 0)
    assert verdicts(check_memory(good, Limits())) == {"memory": "pass", "swap": "pass"}
    assert verdicts(check_memory(replace(good, available=GB // 2), Limits()))["memory"] == "fail"
    assert verdicts(check_memory(replace(good, swap_used=1, swap_total=GB), Limits()))["swap"] == "warn"
    assert verdicts(check_memory(good, Limits(free_memory_gb=9)))["memory"] == "fail"


def test_rights_that_are_refused_fail_only_on_demand() -> None:
    grants = [
        RealtimeGrant(option="cpus", requested=(1,), granted=True),
        RealtimeGrant(option="priority", requested=50, granted=False, why="give the service CAP_SYS_NICE"),
    ]
    assert verdicts(check_rights(grants, Limits())) == {"affinity": "pass", "SCHED_FIFO": "warn"}
    refused = check_rights(grants, Limits(realtime=True))[1]
    assert (refused.verdict, refused.remedy) == ("fail", "give the service CAP_SYS_NICE")


def test_rights_are_asked_for_in_another_process() -> None:
    grants = rights_facts()
    assert [grant.option for grant in grants] == ["cpus", "priority", "lock_memory"]
    assert all(grant.granted or grant.why for grant in grants)


def test_disk() -> None:
    good = DiskFacts(Path("/data"), 100 * GB, 200.0, 12.0)
    assert verdicts(check_disk(good, Limits())) == {"disk space": "pass", "disk writes": "pass"}
    assert verdicts(check_disk(replace(good, free=GB), Limits()))["disk space"] == "fail"
    assert verdicts(check_disk(replace(good, write_mb_s=5.0), Limits()))["disk writes"] == "fail"
    # 10 MB/s for 4 hours are 144 GB.
    long_one = check_disk(good, Limits(), bytes_per_s=10e6)[0]
    assert long_one.verdict == "fail"
    assert "4 h of these streams are 144.0 GB" in long_one.found
    (unwritable,) = check_disk(DiskFacts(Path("/data"), problem="Permission denied"), Limits())
    assert unwritable.found == "cannot write to /data: Permission denied"
    assert "--data-dir" in unwritable.remedy


def test_a_data_directory_is_not_made(tmp_path: Path) -> None:
    facts = disk_facts(tmp_path / "not" / "there")
    assert facts.folder == tmp_path
    assert facts.write_mb_s > 0
    assert not list(tmp_path.iterdir())


def test_machine_code(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_compiled(CompiledFacts("x.code", True)).verdict == "pass"
    missing = check_compiled(CompiledFacts("x.code", False))
    assert (missing.verdict, missing.found) == ("fail", "not in x.code")
    assert "bmi_decoder.machine.warm" in missing.remedy

    def unreadable() -> bool:
        raise BmiError("cannot read it")

    monkeypatch.setattr(compiled, "is_compiled", unreadable)
    assert check_compiled(compiled.compiled_facts()).found == "cannot read it"
