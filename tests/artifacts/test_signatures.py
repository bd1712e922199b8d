"""With trusted keys set, nothing that they did not sign is served, nor even given to the loader."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from service.artifacts.manifest import MANIFEST_FILE, MODEL_FILE, SIGNATURE_FILE, ArtifactError
from service.artifacts.signatures import KeyUnusable, SigningKey, TrustedKeys, make_keys
from service.artifacts.store import ArtifactStore
from service.engine import loading
from service.engine.loading import load
from tests.conftest import CPU, QUIET, Digits, digit_candidate
from training.commands import cli
from training.digits.digit_nets import DigitNet, softmax_mlp
from training.pass_recipe import train_pass
from training.publishing.activation import Publication
from training.publishing.publish import publish


def write_keys(folder: Path) -> tuple[SigningKey, TrustedKeys]:
    private, public = make_keys()
    (folder / "private.pem").write_bytes(private)
    (folder / "public.pem").write_bytes(public)
    return SigningKey(folder / "private.pem"), TrustedKeys(folder / "public.pem")


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory, digits: Digits) -> tuple[Path, TrustedKeys]:
    """A signed version folder, and the key to trust."""
    root = tmp_path_factory.mktemp("signed")
    key, trusted = write_keys(root)
    torch.manual_seed(0)
    images_u8 = torch.from_numpy(digits.images_u8[:10]).unsqueeze(1)
    publish(digit_candidate(DigitNet(softmax_mlp()), images_u8), ArtifactStore(root), key)
    return root / "digit" / "1", trusted


def test_what_is_signed_is_loaded(signed: tuple[Path, TrustedKeys]) -> None:
    folder, trusted = signed
    assert load(folder, CPU, trusted=trusted).manifest.version == 1


def unsigned(folder: Path) -> None:
    (folder / SIGNATURE_FILE).unlink()


def garbled(folder: Path) -> None:
    (folder / SIGNATURE_FILE).write_text("AAAA")


def manifest_altered(folder: Path) -> None:
    text = (folder / MANIFEST_FILE).read_text()
    (folder / MANIFEST_FILE).write_text(text.replace('"untrained"', '"superb"'))


def model_altered(folder: Path) -> None:
    data = bytearray((folder / MODEL_FILE).read_bytes())
    data[100] ^= 1
    (folder / MODEL_FILE).write_bytes(data)


def signed_by_another(folder: Path) -> None:
    private, _ = make_keys()
    (folder / "private.pem").write_bytes(private)
    signature = SigningKey(folder / "private.pem").sign((folder / MANIFEST_FILE).read_bytes())
    (folder / SIGNATURE_FILE).write_bytes(signature)


@pytest.mark.parametrize("spoil", [unsigned, garbled, manifest_altered, model_altered, signed_by_another])
def test_anything_else_never_reaches_the_loader(
    signed: tuple[Path, TrustedKeys],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path], None],
) -> None:
    folder = tmp_path / "digit" / "1"
    shutil.copytree(signed[0], folder)
    spoil(folder)

    def reached(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(loading, "torchscript_accepted", reached)  # entered right before jit.load
    with pytest.raises(ArtifactError):
        load(folder, CPU, trusted=signed[1])


def test_several_keys_may_be_trusted(signed: tuple[Path, TrustedKeys], tmp_path: Path) -> None:
    others = b"".join(make_keys()[1] for _ in range(2))
    (tmp_path / "many.pem").write_bytes(others + (signed[0].parents[1] / "public.pem").read_bytes())
    assert load(signed[0], CPU, trusted=TrustedKeys(tmp_path / "many.pem"))


@pytest.mark.parametrize("content", [b"", b"no key", make_keys()[0], b"-----BEGIN PUBLIC KEY-----\nAAAA\n"])
def test_a_file_without_public_keys_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(KeyUnusable):
        TrustedKeys(tmp_path / "key.pem")


def test_a_private_key_comes_from_a_file_or_a_pipe_that_ends() -> None:
    private, _ = make_keys()
    reading, writing = os.pipe()
    with open(reading, "rb"), open(writing, "wb") as pipe:
        pipe.write(private)
        pipe.close()
        assert SigningKey(Path(f"/dev/fd/{reading}")).sign(b"")
    with pytest.raises(KeyUnusable, match="more than"):
        SigningKey(Path("/dev/zero"))


def test_keys_are_made_and_used_from_the_command_line(tmp_path: Path) -> None:
    command = ["keys", "--out", str(tmp_path)]
    assert CliRunner().invoke(cli, command).exit_code == 0
    again = CliRunner().invoke(cli, command)
    assert again.exit_code == 2
    assert "not overwritten" in again.stderr
    assert (tmp_path / "signing-key.pem").stat().st_mode & 0o077 == 0
    store = ArtifactStore(tmp_path / "artifacts")
    to = Publication(store, SigningKey(tmp_path / "signing-key.pem"))
    train_pass(to, QUIET, device=CPU, epochs=1)
    assert load(store.folder("pass", 1), CPU, trusted=TrustedKeys(tmp_path / "trusted-key.pem"))
    train_pass(Publication(store), QUIET, device=CPU, epochs=1)
    assert store.current("pass") == 1, "not 2, which that key did not sign"
    train_pass(to, QUIET, device=CPU, epochs=1)
    assert store.current("pass") == 3
