"""What the service and its models say of themselves, in the protocol's words and in Triton's."""

from typing import Any

from pydantic import BaseModel, Field

from service import __version__
from service.artifacts.manifest import Format, Manifest
from service.protocol.interface import TensorSpec, inputs_of, outputs_of
from service.serving.registry import Registry
from service.serving.served import Served

NAME = "abacus"
# By the format of a model's archive: platform and backend, as Triton calls them.
PLATFORMS: dict[Format, tuple[str, str]] = {
    "torchscript": ("pytorch_torchscript", "pytorch"),
    "onnx": ("onnxruntime_onnx", "onnxruntime"),
}
EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "parameters",
    "statistics",
)
_TRITON_S = {"BYTES": "TYPE_STRING"}  # all others are TYPE_ and their name


class ServerMetadata(BaseModel):
    name: str = NAME
    version: str = __version__
    extensions: list[str] = list(EXTENSIONS)


class TensorMetadata(BaseModel):
    name: str
    datatype: str
    shape: list[int] = Field(description="-1 stands for the number of rows.")


class ModelMetadata(BaseModel):
    name: str
    versions: list[str] = Field(description="Those that can be asked.")
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerLive(BaseModel):
    live: bool = True


class ServerReady(BaseModel):
    live: bool = True
    ready: bool = True


class ModelReady(BaseModel):
    name: str
    ready: bool = True


class IndexEntry(BaseModel):
    """A version that is loaded, or a model of which none is."""

    name: str
    version: str
    state: str = Field(description="READY or UNAVAILABLE.")
    reason: str


def model_metadata(served: Served, registry: Registry) -> ModelMetadata:
    manifest = served.manifest
    return ModelMetadata(
        name=manifest.name,
        versions=[str(version) for version in registry.state(manifest.name).versions],
        platform=PLATFORMS[manifest.format][0],
        inputs=[_tensor(spec) for spec in inputs_of(manifest)],
        outputs=[_tensor(spec) for spec in outputs_of(manifest)],
    )


def model_config(manifest: Manifest, most_rows: int) -> dict[str, Any]:
    """Triton's model configuration, as far as it says something of a model here."""
    platform, backend = PLATFORMS[manifest.format]
    return {
        "name": manifest.name,
        "platform": platform,
        "backend": backend,
        "default_model_filename": manifest.model_file,
        "max_batch_size": most_rows,
        "input": [
            {**_config(spec), **({"optional": True} if spec.optional else {})}
            for spec in inputs_of(manifest)
        ],
        "output": [_config(spec) for spec in outputs_of(manifest)],
        "dynamic_batching": {},
        "parameters": {},
    }


def index(registry: Registry, only_ready: bool) -> list[IndexEntry]:
    """Triton's index of the repository."""
    entries = []
    for name in registry.names:
        versions, refused = registry.state(name).versions, registry.refused(name) or ""
        entries += [IndexEntry(name=name, version=str(v), state="READY", reason="") for v in versions]
        if not (versions or only_ready):
            entries.append(IndexEntry(name=name, version="", state="UNAVAILABLE", reason=refused))
    return entries


def _tensor(spec: TensorSpec) -> TensorMetadata:
    return TensorMetadata(name=spec.name, datatype=spec.datatype, shape=spec.shape)


def _config(spec: TensorSpec) -> dict[str, Any]:
    data_type = _TRITON_S.get(spec.datatype, f"TYPE_{spec.datatype}")
    return {"name": spec.name, "data_type": data_type, "dims": list(spec.row_shape)}
