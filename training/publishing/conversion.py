"""A published version in another format, as the next one: the way out of TorchScript."""

import torch
from torch import Tensor

from service.artifacts.interface import TableInput
from service.artifacts.manifest import MODEL_FILES, ArtifactError, Format, Manifest
from service.artifacts.version_folder import read_further_files, read_manifest, read_model, title
from service.engine.tensors import decode_tensor, reason
from service.engine.torchscript import MODEL_FAULTS
from training.publishing.activation import Publication
from training.publishing.archive import network
from training.publishing.publish import Candidate, publish

PROOF_ROWS = 64


def convert(
    to: Publication,
    name: str,
    version: int,
    into: Format,
) -> Manifest:
    """Publish the weights of a TorchScript version again, in float32, with its figures and further files.

    No class of the network is needed. Raises ArtifactError or PublishFailed.
    """
    folder = to.store.folder(name, version)
    manifest = read_manifest(folder)
    if manifest.format != "torchscript":
        raise ArtifactError(f"{title(folder)} is {manifest.format} already: only TorchScript is converted")
    try:
        net = network(read_model(folder, manifest))
    except (*MODEL_FAULTS, ValueError) as error:
        raise ArtifactError(f"{title(folder)}: not a TorchScript archive: {reason(error)}") from error
    check_rows = decode_tensor(manifest.check.inputs)
    further = read_further_files(folder)
    candidate = Candidate(
        name=name,
        kind=manifest.kind,
        net=net,
        input=manifest.input,
        output=manifest.output,
        metrics=manifest.metrics,
        training=manifest.training,
        check_rows=check_rows,
        proof_rows=torch.cat([check_rows, _drawn(manifest, check_rows)]),
        files={path: content for path, content in further.items() if path not in MODEL_FILES.values()},
        format=into,
    )
    return publish(candidate, *to)


def _drawn(manifest: Manifest, rows: Tensor) -> Tensor:
    """Further rows to compare on: noise, as wide as the pixels or the columns of the check are."""
    shape = (PROOF_ROWS, *rows.shape[1:])
    generator = torch.Generator().manual_seed(0)
    if isinstance(manifest.input, TableInput):
        return rows.mean(0) + torch.randn(shape, generator=generator) * rows.std(0, correction=0)
    return torch.randint(0, 256, shape, generator=generator, dtype=rows.dtype)
