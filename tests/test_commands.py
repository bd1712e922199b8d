"""`python -m service models`: what an operator sees and does from a shell."""

import hashlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from torch import Tensor, nn
from typer.testing import CliRunner, Result

import training.commands
from service.artifacts.manifest import MANIFEST_FILE, MODEL_FILE, SIGNATURE_FILE, ArtifactError
from service.artifacts.remote.objects import StoreUnreachable
from service.artifacts.signatures import SigningKey, make_keys, sign_published
from service.artifacts.store import ArtifactStore
from service.commands import cli
from tests.conftest import COMMITTED, ROOT, served, wait_for
from training.publishing.archive import script


@pytest.fixture
def store(published: Path, tmp_path: Path) -> ArtifactStore:
    """Three versions of `digit` with the same weights."""
    root = tmp_path / "artifacts"
    shutil.copytree(published, root)
    text = (root / "digit" / "1" / "manifest.json").read_text()
    for version in (2, 3):
        shutil.copytree(root / "digit" / "1", root / "digit" / str(version))
        manifest = text.replace('"version": 1', f'"version": {version}')
        (root / "digit" / str(version) / "manifest.json").write_text(manifest)
    return ArtifactStore(root)


def shell(store: ArtifactStore, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service", "models", *arguments, "--artifacts", str(store.root)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def models(store: ArtifactStore, *arguments: str) -> Result:
    """In this process, as torch is here already."""
    return CliRunner().invoke(cli, [*arguments, "--artifacts", str(store.root)])


def test_versions_are_listed_with_the_live_one_marked(store: ArtifactStore) -> None:
    store.activate("digit", 2)
    lines = shell(store, "list").stdout.splitlines()
    assert [line[:9] for line in lines] == ["  digit/1", "* digit/2", "  digit/3", "* pass/1 "]
    assert "accuracy" in lines[0]


def test_a_folder_that_cannot_be_looked_into_is_none(tmp_path: Path) -> None:
    listed = models(ArtifactStore(tmp_path / ("x" * 300)), "list")
    assert (listed.exit_code, "is no folder" in listed.stderr) == (2, True)


def test_it_says_why_none_of_a_model_is_live(store: ArtifactStore) -> None:
    shutil.rmtree(store.folder("digit", 1))
    (store.root / "pass" / "current").write_text("one")
    shown = shell(store, "list")
    assert [line[:9] for line in shown.stdout.splitlines()] == ["  digit/2", "  digit/3", "  pass/1 "]
    assert shown.stderr.splitlines() == [
        "digit/1 is live, and is not there",
        "pass/current must hold a version number and nothing else",
    ]
    (store.root / "pass" / "current").unlink()
    assert "no version of 'pass' is live" in models(store, "list").output


def test_at_a_terminal_they_are_a_table(store: ArtifactStore) -> None:
    """In which nothing that others wrote acts on the terminal."""
    manifest = store.folder("digit", 3) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"untrained"', '"[red]\\u001b[2J"'))
    command = [sys.executable, "-m", "service", "models", "list", "--artifacts", str(store.root)]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "150", "TERM": "xterm"}
    subprocess.run(command, cwd=ROOT, stdout=theirs, env=environment, check=True)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    heading, *rows = re.sub(r"\x1b\[[\d;]*m", "", shown).splitlines()
    os.close(ours)
    assert heading.split() == ["model", "version", "published", "kind", "recipe", "measured"]
    assert [row.split()[:2] for row in rows] == [
        ["digit", "1"],
        ["digit", "2"],
        ["digit", "3"],
        ["pass", "1"],
    ]
    assert "live" in rows[0]
    assert r"[red]\x1b[2J" in rows[2]


@pytest.mark.usefixtures("tried_here")
def test_activate_verifies_first(store: ArtifactStore) -> None:
    assert shell(store, "activate", "digit", "3").returncode == 0
    assert store.current("digit") == 3
    (store.folder("digit", 2) / MODEL_FILE).write_bytes(b"broken")
    refused = shell(store, "activate", "digit", "2")
    assert (refused.returncode, store.current("digit")) == (1, 3)
    assert "bytes" in refused.stderr
    assert models(store, "verify", "digit", "2").exit_code == 1
    assert "fit to serve" in models(store, "verify", "digit").stdout
    assert models(store, "activate", "digit", "9").exit_code == 1
    assert models(store, "verify", "dogit").exit_code == 1
    for name in ("", "../digit", "digit/", "Digit"):
        wrong = models(store, "activate", name, "1")
        assert (wrong.exit_code, "is no name of a model" in wrong.stderr) == (1, True), wrong.stderr


@pytest.mark.usefixtures("tried_here")
def test_rollback_skips_what_is_not_fit(store: ArtifactStore) -> None:
    store.activate("digit", 3)
    (store.folder("digit", 2) / MODEL_FILE).write_bytes(b"broken")
    result = models(store, "rollback", "digit")
    assert result.exit_code == 0
    assert "digit/1 is live instead of digit/3" in result.stdout
    assert "skipped" in result.stderr
    assert store.current("digit") == 1
    assert models(store, "rollback", "digit").exit_code == 1
    assert store.current("digit") == 1


def test_a_store_that_goes_away_during_a_rollback_is_a_line(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise StoreUnreachable("s3://bucket does not answer")

    store.activate("digit", 3)
    monkeypatch.setattr("service.commands._try", gone)
    result = models(store, "rollback", "digit")
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: the store cannot be read: s3://bucket does not answer\n",
    )
    assert store.current("digit") == 3


def sign(store: ArtifactStore, *arguments: str) -> Result:
    return models(store, "sign", *arguments)


@pytest.mark.usefixtures("tried_here")
def test_the_shipped_models_are_signed_and_then_served_as_documented(tmp_path: Path) -> None:
    """The steps of docs/operations.md, of "Signed artifacts"."""
    store = ArtifactStore(tmp_path / "artifacts")
    shipped = ArtifactStore(COMMITTED)
    for name in ("pass", "digit"):
        version = shipped.current(name)
        shutil.copytree(shipped.folder(name, version), store.folder(name, version))
        store.activate(name, version)
    keys = ["keys", "--out", str(tmp_path / "keys")]
    assert CliRunner().invoke(training.commands.cli, keys).exit_code == 0
    signing = ("--key", str(tmp_path / "keys" / "signing-key.pem"))
    trusted = ("--trusted-keys", str(tmp_path / "keys" / "trusted-key.pem"))
    with served("--artifacts", str(store.root), "--reload-s", "0.1", *trusted) as service:
        assert service.client.get("/health/ready").status_code == 503
        for name in ("pass", "digit"):
            result = sign(store, name, *signing)
            assert (result.exit_code, result.stdout[-11:]) == (0, " is signed\n"), result.stderr
        wait_for(lambda: service.client.get("/health/ready").status_code == 200)
        picture = (store.folder("digit", version) / "samples" / "7.png").read_bytes()
        headers = {"Content-Type": "image/png"}
        answer = service.client.post("/predict/digit", content=picture, headers=headers)
        assert answer.json()["digit"] == 7


@pytest.mark.usefixtures("tried_here")
@pytest.mark.parametrize(
    "command", [("verify", "digit"), ("activate", "digit", "2"), ("label", "digit", "2", "stable")]
)
def test_trusted_keys_of_the_environment_are_heeded(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """Otherwise a version would be live that every service refuses."""
    private, public = make_keys()
    ours, trusted = tmp_path / "ours.pem", tmp_path / "trusted.pem"
    ours.write_bytes(private)
    trusted.write_bytes(make_keys()[1])
    for version in (1, 2, 3):
        sign_published(store, "digit", version, SigningKey(ours))
    monkeypatch.setenv("SERVICE_TRUSTED_KEYS", str(trusted))
    refused = models(store, *command)
    assert (refused.exit_code, "is not signed by a trusted key" in refused.stderr) == (1, True)
    assert (store.current("digit"), store.labels("digit")) == (1, {})
    trusted.write_bytes(public)
    assert models(store, *command).exit_code == 0


@pytest.mark.usefixtures("tried_here")
def test_only_what_is_fit_is_signed_and_no_signature_replaced_unasked(
    store: ArtifactStore, tmp_path: Path
) -> None:
    keys = []
    for name in ("ours.pem", "theirs.pem"):
        (tmp_path / name).write_bytes(make_keys()[0])
        keys.append(SigningKey(tmp_path / name))
    shutil.rmtree(store.folder("digit", 3))
    (store.folder("digit", 2) / MODEL_FILE).write_bytes(b"broken")
    every = sign(store, "digit", "--all", "--key", str(tmp_path / "ours.pem"))
    assert (every.exit_code, every.stdout) == (1, "digit/1 is signed\n")
    assert "not signed: digit/2" in every.stderr
    assert not (store.folder("digit", 2) / SIGNATURE_FILE).exists()
    signature = (store.folder("digit", 1) / SIGNATURE_FILE).read_bytes()
    assert not sign_published(store, "digit", 1, keys[0]), "it had signed already"
    with pytest.raises(ArtifactError, match="at most 1000 are read"):
        sign_published(store, "digit", 1, keys[0], max_model_bytes=1000)
    with pytest.raises(ArtifactError, match="has another signature already; --replace"):
        sign_published(store, "digit", 1, keys[1])
    assert (store.folder("digit", 1) / SIGNATURE_FILE).read_bytes() == signature
    assert sign_published(store, "digit", 1, keys[1], replace=True)
    assert (store.folder("digit", 1) / SIGNATURE_FILE).read_bytes() != signature
    assert sign(store, "digit", "--key", str(tmp_path / "nowhere.pem")).exit_code == 2
    assert not list((store.root / "digit").glob(".signature*"))


def test_help_is_everywhere(store: ArtifactStore) -> None:
    for command in ("list", "verify", "activate", "rollback", "sign"):
        assert models(store, command, "--help").exit_code == 0
    assert shell(ArtifactStore(store.root / "nowhere"), "list").returncode == 2


@pytest.mark.usefixtures("tried_here")
def test_nothing_that_others_wrote_acts_on_the_terminal(store: ArtifactStore) -> None:
    document = json.loads((store.folder("digit", 2) / MANIFEST_FILE).read_text())
    document["training"]["recipe"] = "\x1b[2J\r\nnice"
    document["metrics"][0]["name"] = "\u202eaccuracy\x07"
    (store.folder("digit", 2) / MANIFEST_FILE).write_text(json.dumps(document))
    (store.folder("digit", 3) / MANIFEST_FILE).write_text(json.dumps({**document, "\x1b]0;title\x07": 1}))
    (store.root / "di\x1b[2Jgit" / "1").mkdir(parents=True)
    for command in (["list"], ["verify", "digit", "3"], ["verify", "di\x1b[2Jgit", "1"]):
        result = CliRunner().invoke(cli, [*command, "--artifacts", str(store.root)])
        for line in result.output.split("\n"):
            assert line.isprintable(), line
        assert "\\x1b" in result.output
        if command == ["list"]:
            assert len(result.output.splitlines()) == 4


@pytest.mark.usefixtures("tried_here")
def test_a_folder_of_links_and_fifos_is_listed_with_what_is_wrong(store: ArtifactStore) -> None:
    (store.folder("digit", 2) / MANIFEST_FILE).unlink()
    os.mkfifo(store.folder("digit", 2) / MANIFEST_FILE)
    (store.root / "digit" / "current").unlink()
    (store.root / "digit" / "current").symlink_to("/etc/passwd")
    (store.root / "loop").symlink_to("loop")
    result = CliRunner().invoke(cli, ["list", "--artifacts", str(store.root)])
    assert result.exit_code == 0
    assert "digit/2/manifest.json cannot be read: it is a FIFO" in result.output
    rolled = CliRunner().invoke(cli, ["rollback", "digit", "--artifacts", str(store.root)])
    assert (rolled.exit_code, "it is a link" in rolled.output) == (1, True)


def test_a_version_that_never_gets_ready_is_ended(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Waits(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            while bool(images.size(0) > 0):
                images = images * 1
            return images

    model = script(Waits().eval())
    folder = store.folder("digit", 2)
    (folder / MODEL_FILE).write_bytes(model)
    document = json.loads((folder / MANIFEST_FILE).read_text())
    document |= {"size_bytes": len(model), "sha256": hashlib.sha256(model).hexdigest()}
    (folder / MANIFEST_FILE).write_text(json.dumps(document))
    monkeypatch.setenv("SERVICE_LOAD_TIMEOUT_S", "1")
    result = CliRunner().invoke(cli, ["verify", "digit", "2", "--artifacts", str(store.root)])
    assert (result.exit_code, result.output) == (1, "Error: digit/2 was not ready within 1 s\n")
