"""Health and metadata."""

import json
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.artifacts.manifest import Manifest
from service.settings import Settings
from tests.conftest import running


async def test_live_and_ready(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/live")).json() == {"live": True}
    ready = await client.get("/health/ready")
    assert ready.status_code == 200
    assert ready.json() == {"ready": True, "models": {"pass": 1, "digit": 1}}


async def test_without_any_artifact_it_lives_but_is_not_ready(tmp_path: Path) -> None:
    async with running(create_app(Settings(artifacts=tmp_path / "missing"))) as client:
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/health/ready")).status_code == 503
        assert (await client.get("/models")).json() == {"models": []}


async def test_models_tell_their_manifest_version_and_device(
    client: httpx.AsyncClient, published: Path
) -> None:
    models = (await client.get("/models")).json()["models"]
    assert [(m["name"], m["version"], m["ready"]) for m in models] == [
        ("digit", 1, True),
        ("pass", 1, True),
    ]
    for model in models:
        on_disk = json.loads((published / model["name"] / "1" / "manifest.json").read_text())
        assert Manifest.model_validate(model["manifest"]) == Manifest.model_validate(on_disk)
        assert (await client.get(f"/models/{model['name']}")).json() == model
        assert model["device"] in ("cpu", "cuda")


async def test_a_name_says_nothing_of_what_a_model_is_asked(published: Path, tmp_path: Path) -> None:
    folder = tmp_path / "digit" / "1"
    folder.mkdir(parents=True)
    for file in ("model.pt", "manifest.json"):
        (folder / file).write_bytes((published / "pass" / "1" / file).read_bytes())
    (tmp_path / "digit" / "current").write_text("1\n")
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"name": "pass"', '"name": "digit"'))
    async with running(create_app(Settings(artifacts=tmp_path))) as client:
        answer = (await client.post("/predict/digit", json={"hours": 4})).json()
        assert (await client.post("/predict/pass", json={"hours": 4})).status_code == 404
        assert (await client.get("/health/ready")).json()["models"] == {"digit": 1}
    assert (answer["model"], answer["passed"]) == ("digit", True)


@pytest.mark.parametrize("change", ['"name": "other"', '"name": "pass"'])
async def test_a_version_in_another_s_folder_is_refused(
    published: Path, tmp_path: Path, change: str
) -> None:
    folder = tmp_path / "digit" / "1"
    folder.mkdir(parents=True)
    for file in ("model.pt", "manifest.json"):
        (folder / file).write_bytes((published / "digit" / "1" / file).read_bytes())
    (tmp_path / "digit" / "current").write_text("1\n")
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"name": "digit"', change))
    async with running(create_app(Settings(artifacts=tmp_path))) as client:
        refused = (await client.get("/models/digit")).json()["refused"]
    assert "holds the manifest of" in refused
