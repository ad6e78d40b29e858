"""Sends a control plane what its OpenAPI document allows, and what it does not: ``python benchmarks/fuzz_rest.py``.

No answer may be a 5xx or take a minute, and every answer must be as documented: status, content type, headers and body.
Half of the requests go to things that exist. Prints one JSON object; exit status 1 if anything was wrong.

``GET /v1/events`` never ends, and is left to tests of its own; ``GET /v1/streams`` listens for as long as it is told,
and gets a short time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.generation import GenerationMode

from bmi_decoder.formats import write_npz
from bmi_decoder.recording import Output, Recording
from services.processes import running
from tests.control.support import write_linear_bundle

_LEFT_OUT = {"/v1/events"}
_ANSWER_S = 60
_SLOW = {"start_session": 0.02, "get_streams": 0.0}
"""Share of the requests that go to things that exist, where that is not a half: a worker takes seconds to start."""


class World:
    """Things that exist in the control plane, made again when a request has deleted them."""

    def __init__(self, url: str, folder: Path) -> None:
        self._http = httpx.Client(base_url=url, timeout=_ANSWER_S)
        self._bundle = write_linear_bundle(folder / "linear.bmi")
        self._recording = folder / "recording.npz"
        counts = np.random.default_rng(0).poisson(1.0, (500, 4))
        write_npz(Recording(counts, np.zeros((500, 1)), (Output("x_velocity", "m/s"),), 0.004), self._recording)
        self.ids: dict[str, str] = {}

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def restore(self) -> None:
        """Make what is missing."""
        stored = dict(self.ids)
        for name, path, file in (
            ("decoder_id", "/v1/decoders", self._bundle),
            ("recording_id", "/v1/recordings", self._recording),
        ):
            if name not in stored or self._http.get(f"{path}/{stored[name]}").status_code == 404:
                answer = self._http.post(path, files={"file": (file.name, file.read_bytes())}).raise_for_status()
                stored[name] = answer.json()["id"]
        session = {"name": "m1", "stream": {"name": "nothing-there"}, "decoder": stored["decoder_id"]}
        self._http.post("/v1/sessions/m1/stop")
        self._http.post("/v1/sessions", json=session)
        self.ids = {**stored, "name": "m1"}


def fuzz(url: str, world: World, cases: int, derandomize: bool = False) -> dict[str, Any]:
    """Send about `cases` requests, as many to each operation, valid and invalid in turn.

    Returns
    -------
    dict
        `cases`, answers by `status`, and `failures` as texts.
    """
    load_all_checks()
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations() if result.ok().path not in _LEFT_OUT]
    statuses: Counter[int] = Counter()
    failures: list[str] = []
    began = time.monotonic()
    with requests.Session() as http:
        for operation in operations:
            print(operation.label, file=sys.stderr, flush=True)
            try:
                world.restore()
            except httpx.HTTPError as error:
                failures.append(f"before {operation.label}: {error!r}")
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                each = max(1, round(cases / len(operations) / 2))
                attack = _attack(operation, mode, each, derandomize, world, http, statuses)
                try:
                    attack()
                except (Failure, FailureGroup, AssertionError) as error:
                    failures.append(f"{operation.label} ({mode.value}): {error}")
                except (requests.RequestException, ExceptionGroup) as error:
                    # A group where it happened once and not again.
                    failures.append(f"{operation.label} ({mode.value}): {_causes(error)}")
                except Unsatisfiable:
                    continue  # an operation without parameters has no invalid requests
    return {
        "cases": sum(statuses.values()),
        "operations": len(operations),
        "seconds": round(time.monotonic() - began, 1),
        "status": {str(status): statuses[status] for status in sorted(statuses)},
        "server_errors": sum(count for status, count in statuses.items() if status >= 500),
        "failures": failures,
    }


def _causes(error: Exception) -> str:
    """What went wrong, and with which request."""
    if isinstance(error, ExceptionGroup):
        return "; ".join(_causes(one) for one in error.exceptions)
    return "; ".join([repr(error), *getattr(error, "__notes__", [])])


def _attack(
    operation: Any,
    mode: GenerationMode,
    cases: int,
    derandomize: bool,
    world: World,
    http: requests.Session,
    statuses: Counter[int],
) -> Callable[[], None]:
    query = {"wait_s": 0.01} if operation.path == "/v1/streams" else None
    share = _SLOW.get(operation.definition.raw.get("operationId"), 0.5)

    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        derandomize=derandomize,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy(mode, query=query), draw=st.floats(0, 1))
    def attack(case: Any, draw: float) -> None:
        for name in set(case.path_parameters or {}) & set(world.ids):
            if draw < share:
                case.path_parameters[name] = world.ids[name]
        response = case.call(session=http, timeout=_ANSWER_S)
        statuses[response.status_code] += 1
        case.validate_response(response, checks=_checks())

    return attack


def _checks() -> list[Any]:
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_headers_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    return [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_headers_conformance,
        response_schema_conformance,
    ]


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """URL of a control plane on a new data directory."""
    command = ("-m", "bmi_decoder.cli", "serve", "--port", "0", "--data-dir", str(folder / "data"))
    with running("serve", command, folder) as server:
        yield server.next_line().split()[3]


def main() -> int:
    """Fuzz, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    cases = parser.parse_args().cases
    with (
        tempfile.TemporaryDirectory(prefix="bmi-fuzz-") as name,
        serving(Path(name)) as url,
        closing(World(url, Path(name))) as world,
        redirect_stdout(sys.stderr),  # hypothesis prints hints
    ):
        result = fuzz(url, world, cases)
    print(json.dumps(result, indent=1))
    return 1 if result["failures"] or result["server_errors"] else 0


if __name__ == "__main__":
    sys.exit(main())
