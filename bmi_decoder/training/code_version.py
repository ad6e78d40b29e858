"""Which code a result comes from: a digest of every module that could have changed it."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

_OWN = ("bmi_decoder", "filters")
_LIBRARIES = ("numpy", "torch")


def code_version(*modules: str) -> str:
    """Sha256 over the source of these modules and of all that they import from our packages or their own.

    Versions of numpy and torch are part of it; other libraries are not.
    """
    packages = {*_OWN, *(module.partition(".")[0] for module in modules)}
    sources: dict[str, bytes] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        path = _source(module)
        if module in sources or path is None:
            continue
        sources[module] = path.read_bytes()
        waiting += [name for name in _imports(sources[module]) if name.partition(".")[0] in packages]
    digest = hashlib.sha256()
    for name in _LIBRARIES:
        digest.update(f"{name} {version(name)}\n".encode())
    for module in sorted(sources):
        digest.update(f"{module} {hashlib.sha256(sources[module]).hexdigest()}\n".encode())
    return digest.hexdigest()


def _source(module: str) -> Path | None:
    """A module's Python file; None if there is no such module, or it is compiled."""
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        return None
    path = None if spec is None or spec.origin is None else Path(spec.origin)
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


def _imports(source: bytes) -> Iterator[str]:
    """Names of imported modules; of ``from a import b`` both ``a`` and ``a.b``, which may be one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
