"""The JSON before binary tensors, which is read once where it is said again and again."""

import json

import numpy as np
import pytest

from service.artifacts.manifest import Manifest
from service.artifacts.store import ArtifactStore
from service.artifacts.version_folder import read_manifest
from service.errors import InvalidRequest
from service.protocol.answers import chosen
from service.protocol.requests import Inference, reading
from service.serving.steps import taken
from tests.conftest import BASELINE, COMMITTED

PIXELS = np.zeros((1, 28, 28), np.uint8).tobytes()


@pytest.fixture(scope="module")
def manifests() -> tuple[Manifest, Manifest]:
    """Of two versions of a model; the first tells a score too."""
    store = ArtifactStore(COMMITTED)
    with_score = store.folder("digit", store.current("digit"))
    return read_manifest(with_score), read_manifest(BASELINE)


def said(manifest: Manifest, **more: object) -> Inference:
    parameters = {"binary_data_size": len(PIXELS)}
    image = {"name": "image", "datatype": "UINT8", "shape": [1, 28, 28], "parameters": parameters}
    head = json.dumps({"inputs": [image], **more}).encode()
    return taken(reading(head + PIXELS, b"%d" % len(head), manifest))


def test_the_same_words_choose_the_outputs_of_whichever_version_is_asked(
    manifests: tuple[Manifest, Manifest],
) -> None:
    both, one = manifests
    for manifest, names in (
        (both, ["probabilities", "out_of_distribution"]),
        (one, ["probabilities"]),
        (both, ["probabilities", "out_of_distribution"]),
    ):
        inference = said(manifest)
        for _ in range(2):
            assert [output.spec.name for output in chosen(inference, manifest)] == names


def test_what_one_version_has_another_still_refuses(manifests: tuple[Manifest, Manifest]) -> None:
    both, one = manifests
    outputs = [{"name": "out_of_distribution"}]
    assert len(chosen(said(both, outputs=outputs), both)) == 1
    for _ in range(2):
        with pytest.raises(InvalidRequest, match="There is no output"):
            chosen(said(one, outputs=outputs), one)


def test_an_id_and_how_outputs_go_are_those_of_each_request(manifests: tuple[Manifest, Manifest]) -> None:
    both, _ = manifests
    for binary in (True, False):
        inference = said(both, id=str(binary), parameters={"binary_data_output": binary})
        assert inference.id == str(binary)
        assert [output.binary for output in chosen(inference, both)] == [binary, binary]


def test_the_bytes_behind_are_those_of_each_request(manifests: tuple[Manifest, Manifest]) -> None:
    size = {"binary_data_size": 784}
    image = {"name": "image", "datatype": "UINT8", "shape": [1, 28, 28], "parameters": size}
    head = json.dumps({"inputs": [image]}).encode()

    def data(behind: bytes) -> bytes:
        (given,) = taken(reading(head + behind, b"%d" % len(head), manifests[0])).inputs
        return bytes(given.data)

    for _ in range(2):
        for behind in (784 * b"\0", 784 * b"\1"):
            assert data(behind) == behind
        with pytest.raises(InvalidRequest, match="of its 784 bytes 783 are there"):
            data(783 * b"\0")
        with pytest.raises(InvalidRequest, match="1 bytes are left behind"):
            data(785 * b"\0")
