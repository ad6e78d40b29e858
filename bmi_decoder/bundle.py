"""The deployable artefact: one zip that is parsed as data, bounded in size, and checked before use."""

from __future__ import annotations

import hashlib
import io
import json
import os
import reprlib
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, field_validator

from bmi_decoder.config import FILTER_KINDS, InputFilterSettings, OutputFilterSettings, Settings, SplitSettings
from bmi_decoder.errors import BmiError, BundleError
from bmi_decoder.machine.program import Program

SCHEMA_VERSION = 1
FLOAT_BITS: Final = 32
MAX_BYTES = 256 << 20
"""Largest bundle, and largest sum of its members, in bytes."""

MANIFEST, PROGRAM, WEIGHTS, ONNX = "manifest.json", "program.safetensors", "weights.safetensors", "step.onnx"
_MOST = 200
"""Characters of the file's own words in an error."""

_EPOCH = (1980, 1, 1, 0, 0, 0)


class OutputInfo(Settings):
    """Name and unit of one output."""

    name: str
    unit: str


class PretrainingSession(Settings):
    """A session that a decoder was trained on before the one that it is for."""

    source: str
    fingerprint: str
    bins: int


class PretrainingInfo(Settings):
    """What a decoder learned before it was trained on the recording that it is for."""

    sessions: tuple[PretrainingSession, ...]
    recipe: dict[str, Any]
    fine_tune_rate: float = Field(description="What the learning rate of the training afterwards was multiplied by.")
    epochs: int
    best_epoch: int
    validation_r2: float
    seconds: float


class TrainingInfo(Settings):
    """Where a decoder comes from."""

    source: str = Field(description="The recording, as its reader names it.")
    fingerprint: str = Field(description="Sha256 of the recording's counts, kinematics and time grid.")
    split: tuple[float, float, float]
    split_by: Literal["time", "reaches"] = "time"
    bounds: tuple[int, int] | None = Field(
        None, description="First bin of the validation and of the test part; null where the shares say it."
    )
    channel_means: tuple[Annotated[float, Field(ge=0)], ...] | None = Field(
        None, description="Mean count per bin and channel in the training part, before any filter; null if unknown."
    )
    preset: str
    recipe: dict[str, Any]
    seed: int
    epochs: int
    best_epoch: int
    seconds: float
    pretraining: PretrainingInfo | None = None
    init_from: str | None = Field(
        None, description="Decoder and sha256 of the weights that training started from, if not from scratch."
    )

    @field_validator("split")
    @classmethod
    def _check_split(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        train, validation, test = value
        SplitSettings(train=train, validation=validation, test=test)
        return value


class Manifest(Settings):
    """What a bundle says of itself."""

    schema_version: int = SCHEMA_VERSION
    decoder: str
    hyper_parameters: dict[str, Any]
    n_channels: int = Field(ge=1, le=1 << 16)
    channels: tuple[str, ...]
    bin_s: float = Field(gt=0)
    outputs: tuple[OutputInfo, ...]
    weight_bits: Literal[4, 8, 32] = Field(
        32, description="Of every weight in the torch parameters: float32, or codes times one scale per output."
    )
    input_filter: InputFilterSettings | None = None
    output_filters: OutputFilterSettings = OutputFilterSettings()
    filter_evidence: dict[str, Any] = Field({}, description="Validation R2 of the output filters that were tried.")
    metrics: dict[str, Any] = Field({}, description="R2 per variant on the validation and the test part.")
    training: TrainingInfo
    conversion: dict[str, Any] | None = Field(
        None, description="Of a spiking network: the decoder that it was made of, and how the two compare."
    )
    versions: dict[str, str]
    members: dict[str, str] = Field({}, description="Sha256 of each member; filled in when written.")


@dataclass(frozen=True, eq=False)
class Bundle:
    """A checked bundle.

    Attributes
    ----------
    manifest : Manifest
    program : Program or None
        The decoder alone, verified; None for a decoder that runs through its ONNX step.
    weights : bytes
        Torch parameters as safetensors, to continue training.
    onnx : bytes
        The portable step.
    """

    manifest: Manifest
    program: Program | None
    weights: bytes
    onnx: bytes


def write_bundle(bundle: Bundle, path: Path) -> None:
    """Write a bundle; equal bundles give equal bytes, and `path` is replaced only when all is written.

    Raises
    ------
    BmiError
        If the file cannot be written there.
    """
    members = {WEIGHTS: bundle.weights, ONNX: bundle.onnx}
    if bundle.program is not None:
        members[PROGRAM] = bundle.program.to_bytes()
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(members.items())}
    manifest = bundle.manifest.model_copy(update={"members": digests})
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, sort_keys=True)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in [(MANIFEST, text.encode()), *sorted(members.items())]:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
    try:
        _replace(path, buffer.getvalue())
    except OSError as error:
        raise BmiError(f"cannot write {path}: {error.strerror}") from None


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def is_bundle(path: Path) -> bool:
    """Whether a file looks like a bundle: a zip with a manifest. What is in it is not checked."""
    try:
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


def read_bundle(path: Path) -> Bundle:
    """Read a bundle from anyone: nothing in it is executed, and all of it is checked.

    Raises
    ------
    BundleError
        Saying which check failed: missing file, size, zip structure, schema version, sha256, manifest or
        program.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise BundleError(f"{path} has {size} bytes, a bundle has at most {MAX_BYTES}")
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot read bundle {path}: {error.strerror}") from None
    return parse_bundle(data, str(path))


def parse_bundle(data: bytes, name: str) -> Bundle:
    """Parse a bundle in memory; `name` is what errors call it. See `read_bundle`."""
    members = _members(data, name)
    if MANIFEST not in members:
        raise BundleError(f"{name} has no {MANIFEST}: it is not a decoder bundle; make one with 'bmi-decoder train'")
    manifest = _manifest(members.pop(MANIFEST), name)
    if len(manifest.channels) != manifest.n_channels:
        raise BundleError(
            f"{name}: {MANIFEST} names {len(manifest.channels)} channels and says that there are "
            f"{manifest.n_channels}; make it anew with 'bmi-decoder train'"
        )
    means = manifest.training.channel_means
    if means is not None and len(means) != manifest.n_channels:
        raise BundleError(
            f"{name}: {MANIFEST} has the means of {len(means)} channels and says that there are {manifest.n_channels}; "
            "make it anew with 'bmi-decoder train'"
        )
    if set(members) != set(manifest.members):
        raise BundleError(
            f"{name} holds {sorted(members)}, but its manifest lists {reprlib.repr(sorted(manifest.members))}"
        )
    for member, content in members.items():
        if hashlib.sha256(content).hexdigest() != manifest.members[member]:
            raise BundleError(f"{name}: {member} does not match its sha256; the file is damaged, copy it again")
    if WEIGHTS not in members or ONNX not in members:
        raise BundleError(f"{name} must hold {WEIGHTS} and {ONNX}, got {sorted(members)}")
    program = None
    if PROGRAM in members:
        try:
            program = Program.from_bytes(members[PROGRAM])
        except BundleError as error:
            raise BundleError(f"{name}: {error}") from None
        shape = (manifest.n_channels, len(manifest.outputs))
        if (program.n_inputs, program.n_outputs) != shape:
            raise BundleError(
                f"{name}: program maps {program.n_inputs} channels to {program.n_outputs} outputs, "
                f"the manifest says {shape[0]} to {shape[1]}"
            )
    return Bundle(manifest, program, members[WEIGHTS], members[ONNX])


def _members(data: bytes, name: str) -> dict[str, bytes]:
    known = {MANIFEST, PROGRAM, WEIGHTS, ONNX}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            unknown = sorted({info.filename for info in infos} - known)
            if unknown:
                raise BundleError(f"{name} has members that no bundle has: {reprlib.repr(unknown[:3])}")
            if len(infos) > len({info.filename for info in infos}):
                raise BundleError(f"{name} has two members of one name; make it anew with 'bmi-decoder train'")
            if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in infos):
                raise BundleError(f"{name} is compressed in a way that bundles are not; make it anew without")
            if sum(info.file_size for info in infos) > MAX_BYTES:
                raise BundleError(f"{name} unpacks to more than {MAX_BYTES} bytes")
            return {info.filename: archive.read(info) for info in infos}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, RuntimeError, ValueError) as error:
        if isinstance(error, BundleError):
            raise
        reason = str(error)[:_MOST] or type(error).__name__
        raise BundleError(f"{name} is not a complete zip file ({reason}); copy it again or make it anew") from None


def _manifest(data: bytes, name: str) -> Manifest:
    try:
        raw = json.loads(data)
        version = raw["schema_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BundleError(f"{name}: {MANIFEST} is not JSON with a schema_version") from None
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"{name} has schema version {reprlib.repr(version)}, this version of bmi-decoder reads {SCHEMA_VERSION}: "
            "update bmi-decoder, or train the decoder anew"
        )
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part not in FILTER_KINDS)
        raise BundleError(f"{name}: {MANIFEST} field {where[:_MOST]!r}: {first['msg'][:_MOST]}") from None
