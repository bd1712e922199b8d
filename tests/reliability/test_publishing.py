"""Publishing into a running service: swapped, refused or interrupted, and no request notices."""

import hashlib
import json
import multiprocessing
import random
import shutil
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from service.artifacts.manifest import MANIFEST_FILE, MODEL_FILE, SIGNATURE_FILE, ArtifactError
from service.artifacts.signatures import SigningKey, make_keys
from service.artifacts.store import ArtifactStore
from service.engine.loading import load
from service.engine.tensors import encode_tensor
from tests.conftest import CPU, Digits, digit_candidate, png, publish_copy, served, wait_for
from tests.reliability.load import asking
from training.digits.digit_nets import DigitNet, softmax_mlp
from training.publishing.archive import script
from training.publishing.publish import publish

Report = Callable[[str, str, str], None]


def test_publishes_under_load(
    published: Path, tmp_path: Path, digits: Digits, long: bool, figure: Report
) -> None:
    publishes, every_s, rest_s = (50, 1.2, 2) if long else (5, 0.8, 0.3)
    shutil.copytree(published, tmp_path / "artifacts")
    store = ArtifactStore(tmp_path / "artifacts")
    picture = png(digits.images_u8[0])

    def ask(client: httpx.Client, _: int) -> tuple[int, int]:
        response = client.post("/predict/digit", files={"file": picture})
        return response.status_code, response.json().get("version")

    with served("--artifacts", str(store.root), "--reload-s", "0.2") as service:
        with asking(service.client.base_url, 16, ask) as stream:
            time.sleep(rest_s)
            began = time.monotonic()
            for _ in range(publishes):
                version = publish_copy(store)
                time.sleep(every_s)
            ended = time.monotonic()
            time.sleep(rest_s)
        wait_for(lambda: service.client.get("/models/digit").json()["version"] == version)
    lost = sum(status != 200 for status, _ in stream.results())
    disorder = sum(disordered(client) for client in stream.seen)
    during = stream.p99_s(lambda t: began <= t <= ended)
    outside = stream.p99_s(lambda t: not began <= t <= ended)
    figure(
        f"{publishes} publishes in {ended - began:.0f} s under 16 clients",
        "0 lost, 0 out of order; p99 during ≤ 3 × outside",
        f"{len(stream.results()):,} requests, {lost} lost, {disorder} out of order;"
        f" p99 {1000 * during:.0f} ms, {during / outside:.1f} × outside",
    )
    assert (lost, disorder) == (0, 0)
    if long:
        assert during <= 3 * outside


def disordered(seen: list[tuple[float, float, Any]]) -> int:
    """How often one client saw an older version after a newer one."""
    versions = [result[1] for _, _, result in seen]
    return sum(later < earlier for earlier, later in pairwise(versions))


def test_the_control_of_order() -> None:
    seen = [(0.0, 0.0, (200, version)) for version in (1, 2, 1, 2)]
    assert disordered(seen) == 1


def truncated(folder: Path) -> None:
    data = (folder / MODEL_FILE).read_bytes()
    (folder / MODEL_FILE).write_bytes(data[:-100])


def flipped_byte(folder: Path) -> None:
    data = bytearray((folder / MODEL_FILE).read_bytes())
    data[len(data) // 3] ^= 16
    (folder / MODEL_FILE).write_bytes(data)


def edited(**changes: Any) -> Callable[[Path, SigningKey], None]:
    def spoil(folder: Path, key: SigningKey) -> None:
        manifest = json.loads((folder / MANIFEST_FILE).read_text()) | changes
        (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
        (folder / SIGNATURE_FILE).write_bytes(key.sign((folder / MANIFEST_FILE).read_bytes()))

    return spoil


def wrong_answers(folder: Path, key: SigningKey) -> None:
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    outputs = manifest["check"]["outputs"]
    outputs["data"] = encode_tensor(torch.full((10, 10), 0.1)).data
    edited(check=manifest["check"])(folder, key)


def nan_weights(folder: Path, key: SigningKey) -> None:
    net = DigitNet(softmax_mlp())
    with torch.no_grad():
        next(net.parameters()).fill_(float("nan"))
    model = script(net.eval())
    (folder / MODEL_FILE).write_bytes(model)
    edited(sha256=hashlib.sha256(model).hexdigest(), size_bytes=len(model))(folder, key)


def unsigned(folder: Path) -> None:
    (folder / SIGNATURE_FILE).unlink()


def bad_signature(folder: Path) -> None:
    (folder / SIGNATURE_FILE).write_text("A" * 86 + "==")


POISONS: dict[str, Callable[..., None]] = {
    "truncated": lambda folder, _: truncated(folder),
    "flipped byte": lambda folder, _: flipped_byte(folder),
    "wrong hash": edited(sha256="0" * 64),
    "wrong answers": wrong_answers,
    "NaN weights": nan_weights,
    "path escape": edited(name="../../digit"),
    "another version's number": edited(version=1),
    "unsigned": lambda folder, _: unsigned(folder),
    "bad signature": lambda folder, _: bad_signature(folder),
}


def test_poisoned_publishes(tmp_path: Path, digits: Digits, figure: Report) -> None:
    private, public = make_keys()
    (tmp_path / "private.pem").write_bytes(private)
    (tmp_path / "public.pem").write_bytes(public)
    key = SigningKey(tmp_path / "private.pem")
    store = ArtifactStore(tmp_path / "artifacts")
    images_u8 = torch.from_numpy(digits.images_u8[:10]).unsqueeze(1)
    publish(digit_candidate(DigitNet(softmax_mlp()), images_u8), store, key)
    options = ("--trusted-keys", str(tmp_path / "public.pem"), "--reload-s", "0.1")
    picture = png(digits.images_u8[0])

    def ask(client: httpx.Client, _: int) -> tuple[int, int]:
        response = client.post("/predict/digit", files={"file": picture})
        return response.status_code, response.json().get("version")

    refused = []
    with served("--artifacts", str(store.root), *options) as service:
        with asking(service.client.base_url, 4, ask) as stream:
            for poison, spoil in POISONS.items():
                before = service.log.read_text().count("refused")
                publish_copy(store, key, lambda folder, s=spoil: s(folder, key))
                deadline = time.monotonic() + 60
                while service.log.read_text().count("refused") == before and time.monotonic() < deadline:
                    time.sleep(0.02)
                if service.log.read_text().count("refused") == before + 1:
                    refused.append(poison)
        good = publish_copy(store, key)  # the control: what is not poisoned is taken up the same way
        wait_for(lambda: service.client.get("/models/digit").json()["version"] == good)
    old = sum(result == (200, 1) for result in stream.results())
    figure(
        f"{len(POISONS)} poisoned publishes: {', '.join(POISONS)}",
        "all refused, the old version answers throughout",
        f"{len(refused)} refused; {old:,} of {len(stream.results()):,} answers by the old version",
    )
    assert refused == list(POISONS)
    assert old == len(stream.results())


def publish_again(root: Path, images_u8: torch.Tensor) -> None:
    publish(digit_candidate(DigitNet(softmax_mlp()), images_u8), ArtifactStore(root))


def test_publishers_killed_at_random_moments(
    published: Path, tmp_path: Path, digits: Digits, long: bool, figure: Report
) -> None:
    kills = 200 if long else 4
    root = tmp_path / "artifacts"
    shutil.copytree(published, root)
    store = ArtifactStore(root)
    images_u8 = torch.from_numpy(digits.images_u8[:10]).unsqueeze(1)
    context = multiprocessing.get_context("spawn")
    moments = random.Random(0)
    partial = 0
    for _ in range(kills):
        publisher = context.Process(target=publish_again, args=(root, images_u8))
        publisher.start()
        publisher.join(moments.uniform(2, 9))
        publisher.kill()
        publisher.join()
        try:
            load(store.folder("digit", store.current("digit")), CPU)
            for version in store.versions("digit"):
                load(store.folder("digit", version), CPU)
        except ArtifactError:
            partial += 1
    publish_again(root, images_u8)  # the lock was freed, and what was staged is swept away
    assert not list((root / "digit").glob(".staging-*"))
    figure(
        f"publisher killed at a random moment, {kills} times",
        "0 partial versions",
        f"{partial} partial versions; {len(store.versions('digit')) - 2} were complete when the kill came",
    )
    assert partial == 0


def test_the_control_of_partial_versions(published: Path, tmp_path: Path) -> None:
    """A version that is copied into place file by file is seen half done."""
    shutil.copytree(published, tmp_path / "artifacts")
    store = ArtifactStore(tmp_path / "artifacts")
    half = store.folder("digit", 2)
    half.mkdir()
    shutil.copy(store.folder("digit", 1) / MANIFEST_FILE, half)
    with pytest.raises(ArtifactError):
        load(half, CPU)
