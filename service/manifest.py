"""The artifact format: one folder a version, described by `manifest.json`, and the store of them.

    <root>/<name>/current              text file: the live version
    <root>/<name>/<version>/           immutable: model.pt  manifest.json  [manifest.sig]  samples/  report/

The layout of versions is that of a Triton model repository. Training writes it and the service reads
it, so this module needs neither torch nor a web framework.
"""

import base64
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PositiveInt, ValidationError

MODEL_FILE = "model.pt"
MANIFEST_FILE = "manifest.json"
SIGNATURE_FILE = "manifest.sig"

ModelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
DType = Literal["uint8", "float32"]


class ArtifactError(Exception):
    """An artifact that must not be served: missing, altered, malformed or answering wrongly."""


class _Frozen(BaseModel):
    # `allow_inf_nan=False`: a NaN metric or hyper-parameter is a failed training run.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _TensorSpec(_Frozen):
    """One batch of rows; -1 in `shape` is their number."""

    name: str
    dtype: DType
    shape: tuple[int, ...]

    @property
    def row_shape(self) -> tuple[int, ...]:
        return self.shape[1:]


class InputSpec(_TensorSpec):
    """What a model reads."""

    units: str
    minimum: float
    maximum: float
    training_minimum: float
    training_maximum: float
    polarity: Literal["light-on-dark"] | None = None


class ScoreSpec(_Frozen):
    """A last column that is no probability: how little a row looks like the training data, 0 to 1."""

    name: str
    threshold: float = Field(description="Above it a row is called out of distribution.")


class OutputSpec(_TensorSpec):
    """What a model answers; `labels` name the columns, in order. A `score` is one column more."""

    labels: tuple[str, ...]
    threshold: float | None = None
    score: ScoreSpec | None = None


class Metric(_Frozen):
    """Of `split`: MNIST's own, `drawn` (sheets and non-digits made by a program) or `other` (not MNIST)."""

    name: str
    value: float
    split: Literal["train", "validation", "test", "drawn", "other"]
    n: int = Field(ge=1, description="Rows that the value was computed on.")


class TrainingRecord(_Frozen):
    """Everything needed to train the same weights again."""

    recipe: str
    hyperparameters: dict[str, str | int | float | bool]
    seed: int
    device: str
    torch_version: str
    git_commit: str | None
    data_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    seconds: float = Field(ge=0)


class TensorData(_Frozen):
    """A tensor in JSON, exact to the bit: base64 of its row-major, little-endian bytes."""

    dtype: DType
    shape: tuple[PositiveInt, ...] = Field(min_length=1)
    data: str

    @classmethod
    def encode(cls, dtype: DType, shape: tuple[int, ...], raw: bytes) -> "TensorData":
        return cls(dtype=dtype, shape=shape, data=base64.b64encode(raw).decode("ascii"))

    def decode(self) -> bytes:
        return base64.b64decode(self.data, validate=True)


class Check(_Frozen):
    """Rows and the answers that training saw; replayed before a model may serve."""

    inputs: TensorData
    outputs: TensorData
    tolerance: float = Field(ge=0, description="Largest absolute difference that still passes.")


class Manifest(_Frozen):
    """All that is known of one published version."""

    schema_version: Literal[1] = 1
    name: ModelName
    version: int = Field(ge=1)
    created_at: AwareDatetime
    task: Literal["binary-classification", "image-classification"]
    format: Literal["torchscript"] = "torchscript"
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of model.pt.")
    size_bytes: int = Field(ge=1, description="Of model.pt.")
    input: InputSpec
    output: OutputSpec
    metrics: tuple[Metric, ...]
    training: TrainingRecord
    check: Check

    @property
    def threshold(self) -> float:
        """The probability from which a binary answer is positive."""
        if self.output.threshold is None:
            raise ArtifactError(f"{self.name} {self.version} has no decision threshold")
        return self.output.threshold

    def metric(self, name: str, split: str) -> Metric:
        """The metric of that name and split; KeyError when it was not measured."""
        for metric in self.metrics:
            if (metric.name, metric.split) == (name, split):
                return metric
        raise KeyError(f"{self.name} {self.version} has no {name} on {split}")


class ArtifactStore:
    """The folder of published models. Reading never locks; publishing does, one publisher at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, name: str, version: int) -> Path:
        return self.root / name / str(version)

    def versions(self, name: str) -> list[int]:
        """Published versions, ascending; staging folders and stray files do not count."""
        try:
            entries = list((self.root / name).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(int(e.name) for e in entries if _is_version(e.name) and e.is_dir())

    def current(self, name: str) -> int:
        """The live version. Raises ArtifactError when none is published or `current` is not a number."""
        pointer = self.root / name / "current"
        try:
            text = pointer.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise ArtifactError(f"no version of {name!r} is published") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ArtifactError(f"{name}/current cannot be read: {error}") from error
        if not _is_version(text):
            raise ArtifactError(f"{name}/current must hold a version number, not {text[:40]!r}")
        return int(text)

    def pointer(self, name: str) -> tuple[int, int] | None:
        """What changes whenever `current` is written, be it with the same version. None: there is none."""
        try:
            file = (self.root / name / "current").stat()
        except OSError:
            return None
        return file.st_mtime_ns, file.st_ino

    def activate(self, name: str, version: int) -> None:
        """Make `version` the live one, atomically. Raises ArtifactError when it is not published."""
        if version not in self.versions(name):
            raise ArtifactError(f"version {version} of {name!r} is not published")
        staged = self.root / name / f".current-{os.getpid()}"
        write_durably(staged, f"{version}\n".encode("ascii"))
        staged.replace(self.root / name / "current")
        sync_directory(self.root / name)

    @contextmanager
    def publishing(self, name: str) -> Iterator[Path]:
        """Hold the publishing lock of `name` and yield its folder. A killed holder frees the lock."""
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder


def title(folder: Path) -> str:
    """`<name>/<version>`: how messages call a version folder, wherever the store lies."""
    return f"{folder.parent.name}/{folder.name}"


def read_manifest(folder: Path, verify: Callable[[Path, bytes], None] | None = None) -> Manifest:
    """Parse `manifest.json` of a version folder, once `verify` has let these very bytes pass.

    Raises ArtifactError.
    """
    where = f"{title(folder)}/{MANIFEST_FILE}"
    try:
        document = (folder / MANIFEST_FILE).read_bytes()
        if verify:
            verify(folder, document)
        return Manifest.model_validate_json(document)
    except OSError as error:
        raise ArtifactError(f"{where} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "document"
        raise ArtifactError(f"{where} is not a manifest: {field}: {first['msg']}") from error


def read_model(folder: Path, manifest: Manifest) -> bytes:
    """The bytes of `model.pt`, of the stated size and SHA-256. Raises ArtifactError.

    The caller must load these very bytes: reading the file a second time would leave a gap in which
    it could be exchanged.
    """
    where = f"{title(folder)}/{MODEL_FILE}"
    try:
        model = (folder / MODEL_FILE).read_bytes()
    except OSError as error:
        raise ArtifactError(f"{where} cannot be read: {error.strerror}") from error
    if len(model) != manifest.size_bytes:
        raise ArtifactError(f"{where} has {len(model)} bytes, not {manifest.size_bytes}")
    if hashlib.sha256(model).hexdigest() != manifest.sha256:
        raise ArtifactError(f"{where} does not have the SHA-256 of its manifest")
    return model


def write_manifest(folder: Path, manifest: Manifest, sign: Callable[[bytes], bytes] | None = None) -> None:
    document = (manifest.model_dump_json(indent=2) + "\n").encode("utf-8")
    write_durably(folder / MANIFEST_FILE, document)
    if sign:
        write_durably(folder / SIGNATURE_FILE, sign(document))


def write_durably(path: Path, data: bytes) -> None:
    """Write a whole file and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(folder: Path) -> None:
    """Wait until the names in `folder` are on the disk; a rename is durable only after this."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_version(text: str) -> bool:
    return text.isascii() and text.isdigit() and not text.startswith("0") and len(text) <= 9
