"""Checks of LSL and of streams, with facts of rigs that nobody has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pylsl
import pytest

from bmi_decoder.errors import InputError
from services.certify.discovery import DiscoveryFacts, check_discovery
from services.certify.finding import Finding
from services.certify.limits import Limits
from services.certify.manifest import ExpectedStream
from services.certify.ports import PortFacts, check_ports
from services.certify.streams import check_decoder_fits, check_layout, choose
from services.certify.timing import check_timing
from services.certify.watch import Watched
from services.ingest.description import RigDescription
from services.ingest.found import FoundStream
from services.ingest.lsl import VisibleStream
from services.ingest.lsl_settings import LslSettings, read_lsl_settings
from tests.support import manifest

DEPLOY = Path(__file__).parents[2] / "deploy" / "lsl"
VISIBLE = VisibleStream("M1", "spikes", 3, 250.0, "rig-1", "host", "float32")
LABELS = ("ch0", "ch1", "ch2")
WANTED = ExpectedStream(
    name="M1", type="spikes", channels=3, rate_hz=250, format="float32", labels=LABELS, units="spikes"
)
RATE_HZ = 250.0


def lab() -> LslSettings:
    return read_lsl_settings(DEPLOY / "lab.cfg")


def found(labels: tuple[str, ...] = LABELS, units: tuple[str, ...] = ("spikes",) * 3, **changes: object) -> FoundStream:
    visible = replace(VISIBLE, **changes)  # type: ignore[arg-type]
    info = pylsl.StreamInfo("M1", "spikes", 3, 250.0, "float32", "rig-1")
    return FoundStream(info, visible, RigDescription(), labels, units)


def test_the_shipped_configurations() -> None:
    assert lab().addresses == ("127.0.0.1", "255.255.255.255", "224.0.0.1", "224.0.0.183")
    assert (lab().hops, lab().ports, lab().random_ports, lab().known_peers) == (1, range(16572, 16604), False, ())
    loopback = read_lsl_settings(DEPLOY / "loopback.cfg")
    assert (loopback.scope, loopback.addresses, loopback.known_peers) == ("machine", ("127.0.0.1",), ("127.0.0.1",))


def test_defaults_are_those_of_liblsl(tmp_path: Path) -> None:
    (tmp_path / "own.cfg").write_text("[lab]\nKnownPeers = {10.0.0.5, rig}\n")
    settings = read_lsl_settings(tmp_path / "own.cfg")
    assert (settings.scope, settings.session_id, settings.known_peers) == ("site", "default", ("10.0.0.5", "rig"))
    assert settings.addresses[-1] == "239.255.172.215"
    assert settings.random_ports


@pytest.mark.parametrize("line", ["[ports]\nBasePort = no", "[multicast]\nResolveScope = moon", "// remark"])
def test_a_configuration_that_liblsl_would_ignore(tmp_path: Path, line: str) -> None:
    (tmp_path / "own.cfg").write_text(line)
    with pytest.raises(InputError, match="ignores the whole configuration"):
        read_lsl_settings(tmp_path / "own.cfg")


def test_ports() -> None:
    def verdicts(facts: PortFacts, settings: LslSettings) -> list[str]:
        return [one.verdict for one in check_ports(facts, settings)]

    every = tuple(lab().ports)
    assert verdicts(PortFacts((), ()), lab()) == ["pass", "pass"]
    assert verdicts(PortFacts(every[:-3], ()), lab()) == ["warn", "pass"]
    assert verdicts(PortFacts((), every), lab()) == ["fail", "pass"]
    assert verdicts(PortFacts((), every), replace(lab(), random_ports=True)) == ["warn", "pass"]
    assert verdicts(PortFacts((), (), "Address already in use"), lab()) == ["pass", "fail"]


@pytest.mark.parametrize(
    ("routes", "refused", "peers", "verdict"),
    [
        (("address 127.0.0.1", "multicast 224.0.0.183"), {}, (), "pass"),
        (("address 127.0.0.1", "multicast 224.0.0.183"), {"broadcast 255.255.255.255": "unreachable"}, (), "warn"),
        (("address 127.0.0.1",), {}, (), "fail"),
        (("address 127.0.0.1",), {}, ("10.0.0.5",), "warn"),
        ((), {}, ("10.0.0.5",), "fail"),
    ],
)
def test_discovery(routes: tuple[str, ...], refused: dict[str, str], peers: tuple[str, ...], verdict: str) -> None:
    facts = DiscoveryFacts({"own": routes, "other": ("multicast 224.0.0.183",)}, refused, "own")
    finding = check_discovery(facts, replace(lab(), known_peers=peers))
    assert finding.verdict == verdict
    assert verdict == "pass" or "UDP 16571" in finding.remedy


def test_on_loopback_that_address_is_enough() -> None:
    facts = DiscoveryFacts({"own": ("address 127.0.0.1",)}, {}, "own")
    assert check_discovery(facts, read_lsl_settings(DEPLOY / "loopback.cfg")).verdict == "pass"


@pytest.mark.parametrize(
    ("wanted", "visible", "what", "remedy"),
    [
        (WANTED, [], "no such stream; visible now: none at all", "start the rig"),
        (WANTED, [replace(VISIBLE, name="M2")], "visible now: 'M2' (type 'spikes', 3 channels", "KnownPeers"),
        (WANTED, [replace(VISIBLE, type="EEG")], "has type 'EEG'", "correct 'type'"),
        (WANTED, [VISIBLE, replace(VISIBLE, source_id="rig-2")], "2 streams are named 'M1'", "source_id"),
        (WANTED.model_copy(update={"source_id": "rig-9"}), [VISIBLE], "its source_id is 'rig-1'", "another rig"),
    ],
)
def test_a_stream_that_is_not_there(
    wanted: ExpectedStream, visible: list[VisibleStream], what: str, remedy: str
) -> None:
    finding = choose(wanted, visible)
    assert isinstance(finding, Finding)
    assert (finding.area, finding.verdict) == ("M1", "fail")
    assert what in finding.found
    assert remedy in finding.remedy


def test_a_stream_that_is_there() -> None:
    assert choose(WANTED, [replace(VISIBLE, name="M2"), VISIBLE]) == VISIBLE
    (layout,) = check_layout(found(), WANTED, Limits())
    assert layout.verdict == "pass"


@pytest.mark.parametrize(
    ("stream", "check", "what"),
    [
        (found(n_channels=95), "channels", "95, expected 3"),
        (found(rate_hz=1000.0), "nominal rate", "1000 Hz, expected 250 Hz"),
        (found(channel_format="int16"), "format", "int16, expected float32"),
        (found(labels=("ch0", "ch2", "ch1")), "labels", "channel 2 is 'ch2', expected 'ch1', and 1 more"),
        (found(labels=()), "labels", "not given, expected 'ch0' ..."),
        (found(units=("spikes", "mV", "spikes")), "units", "channel 2 is 'mV', expected 'spikes'"),
    ],
)
def test_a_stream_that_differs(stream: FoundStream, check: str, what: str) -> None:
    (finding,) = check_layout(stream, WANTED, Limits())
    assert (finding.check, finding.verdict, finding.found) == (check, "fail", what)
    assert "manifest" in finding.remedy


def test_whether_a_decoder_is_fed() -> None:
    assert [one.verdict for one in check_decoder_fits(manifest(), [found()])] == ["pass"]
    turned = check_decoder_fits(manifest(), [found(labels=("ch2", "ch1", "ch0"))])
    assert [one.verdict for one in turned] == ["pass", "warn"]
    (unfit,) = check_decoder_fits(manifest(), [found(n_channels=95)])
    assert unfit.verdict == "fail"
    assert "95 channels, the decoder was trained on 3" in unfit.found
    (none,) = check_decoder_fits(manifest(), [found(type="EEG")])
    assert none.verdict == "warn"


def watched(n: int = 500, **changes: object) -> Watched:
    stamps = 1000 + np.arange(n) / RATE_HZ
    facts = Watched(stamps, stamps + 0.0002, np.array([3e-3, 3.01e-3]), n / RATE_HZ)
    return replace(facts, **changes)  # type: ignore[arg-type]


def timing(facts: Watched, rate_hz: float = RATE_HZ) -> dict[str, Finding]:
    return {one.check: one for one in check_timing("M1", rate_hz, facts, Limits())}


def test_a_stream_that_keeps_time() -> None:
    findings = timing(watched())
    assert {one.verdict for one in findings.values()} == {"pass"}
    assert findings["rate"].figures["actual_hz"] == pytest.approx(RATE_HZ)
    assert findings["clock"].figures["offset_s"] == pytest.approx(3.005e-3)


def test_stamps_of_another_clock() -> None:
    calendar = watched(stamps=watched().stamps + 1.7e9)
    finding = timing(calendar)["stamps"]
    assert (finding.verdict, finding.found) == ("fail", "1700000000 s ahead of the LSL clock: they are of another one")
    assert finding.figures["behind_s"] == pytest.approx(-1.7e9)
    assert "local_clock" in finding.remedy


def test_samples_that_are_lost_are_counted() -> None:
    kept = np.delete(np.arange(500), [100, 101, 300])
    whole = watched()
    findings = timing(watched(stamps=whole.stamps[kept], arrivals=whole.arrivals[kept]))
    assert (findings["samples"].verdict, findings["samples"].figures["lost"]) == ("fail", 3)
    # The line through the stamps goes over the holes.
    assert findings["rate"].figures["actual_hz"] == pytest.approx(RATE_HZ)
    assert findings["jitter of stamps"].verdict == "pass"


def test_doubled_samples_and_jumps_are_told() -> None:
    whole = watched()
    doubled = np.insert(whole.stamps, 200, whole.stamps[198])
    findings = timing(watched(stamps=doubled, arrivals=np.sort(doubled)))
    assert findings["samples"].verdict == "fail"
    assert "1 doubled or out of order" in findings["samples"].found
    jumped = whole.stamps + np.where(np.arange(500) < 250, 0, 3600)
    assert "1 clock jumps" in timing(watched(stamps=jumped, arrivals=jumped))["samples"].found


def test_a_wrong_rate() -> None:
    stamps = 1000 + np.arange(500) / (RATE_HZ * 0.98)
    finding = timing(watched(stamps=stamps, arrivals=stamps))["rate"]
    assert finding.verdict == "fail"
    assert "245 Hz" in finding.remedy


def test_stamps_made_when_pushing() -> None:
    rng = np.random.default_rng(0)
    stamps = watched().stamps + rng.uniform(-0.6, 0.6, 500) / RATE_HZ
    finding = timing(watched(stamps=stamps, arrivals=stamps))["jitter of stamps"]
    assert finding.verdict == "fail"
    assert "sample clock" in finding.remedy


def test_samples_that_come_in_bursts() -> None:
    whole = watched()
    finding = timing(watched(arrivals=np.repeat(whole.stamps[9::10], 10)))["jitter of arrival"]
    assert (finding.verdict, "chunk_size=1" in finding.remedy) == ("warn", True)


def test_a_clock_that_moves() -> None:
    assert timing(watched(offsets_s=np.array([0.0, 0.002])))["clock"].verdict == "fail"


def test_nothing_came() -> None:
    none = np.empty(0)
    silent = timing(watched(stamps=none, arrivals=none))
    assert silent["samples"].found == "none came"
    assert "start the acquisition" in silent["samples"].remedy
    assert set(timing(watched(stamps=none, arrivals=none), rate_hz=0.0)) == {"clock"}
    lost = timing(watched(problem="the outlet is gone"))
    assert lost["rate"].verdict == "pass"
    assert "samples" in lost
