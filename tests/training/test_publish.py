"""Publishing: what is visible is whole, numbered once, and answers as the network did."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch._jit_internal import is_scripting
from typer.testing import CliRunner

from service.artifacts.manifest import SIGNATURE_FILE, ArtifactError, Manifest, Metric
from service.artifacts.store import ArtifactStore
from service.artifacts.version_folder import read_manifest, write_manifest
from service.engine.loading import load
from service.engine.tensors import decode_tensor
from tests.conftest import BASELINE, COMMITTED, CPU, QUIET, ROOT, Digits, digit_candidate, publish_digit
from tests.disks import small_disk
from tests.training.test_checkpoint import no_file_larger_than
from training import commands
from training.adoption.torchscript_file import read_file
from training.commands import cli
from training.data import DataUnavailable
from training.digits.digit_nets import RejectingDigitNet, cnn
from training.digits.digit_recipe import SCORED
from training.pass_recipe import train_pass
from training.publishing import proof
from training.publishing.activation import Activation, Publication
from training.publishing.proof import PublishFailed
from training.publishing.publish import check_publishable, publish

VERSIONS = [BASELINE, *sorted(path.parent for path in COMMITTED.glob("*/*/manifest.json"))]


def test_scripted_and_reloaded_equals_eager(tmp_path: Path, digits: Digits) -> None:
    torch.manual_seed(3)
    net = RejectingDigitNet(cnn()).eval()
    images_u8 = torch.from_numpy(digits.images_u8[:200]).unsqueeze(1)
    publish(replace(digit_candidate(net, images_u8), output=SCORED), ArtifactStore(tmp_path))
    with torch.inference_mode():
        eager = net(images_u8)
    torch.testing.assert_close(load(tmp_path / "digit" / "1", CPU).predict(images_u8), eager)


def test_a_version_folder_is_complete_and_its_hash_true(published: Path) -> None:
    folder = published / "pass" / "1"
    manifest = read_manifest(folder)
    model = (folder / "model.pt").read_bytes()
    assert (manifest.sha256, manifest.size_bytes) == (hashlib.sha256(model).hexdigest(), len(model))
    names = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert {"model.pt", "manifest.json", "report/report.md", "report/curve.png"} <= names
    assert [p.name for p in folder.parent.iterdir() if p.name.startswith((".staging", ".current"))] == []


class AnswersOtherwiseWhenScripted(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        answer = torch.full((images.size(0), 10), 0.1)
        return answer.roll(1, 0) + 0.01 if is_scripting() else answer


class AnswersOtherwiseOnTheLastRow(nn.Module):
    """Right on the check rows, which come first, and wrong on the rest of the proof."""

    def forward(self, images: Tensor) -> Tensor:
        answer = torch.full((images.size(0), 10), 0.1)
        if is_scripting() and images.size(0) > 10:
            answer[-1] += 0.01
        return answer


def test_an_archive_unlike_its_network_is_not_published(tmp_path: Path, digits: Digits) -> None:
    with pytest.raises(ArtifactError, match="answers differ"):
        publish_digit(tmp_path, digits, AnswersOtherwiseWhenScripted())
    assert ArtifactStore(tmp_path).versions("digit") == []
    assert not (tmp_path / "digit" / "current").exists()


def test_a_failed_publish_leaves_the_old_version_live(tmp_path: Path, digits: Digits) -> None:
    publish_digit(tmp_path, digits)
    store = ArtifactStore(tmp_path)
    images_u8 = torch.from_numpy(digits.images_u8[:20]).unsqueeze(1)
    candidate = digit_candidate(AnswersOtherwiseOnTheLastRow(), images_u8[:10])
    with pytest.raises(PublishFailed, match="differs from the network"):
        publish(replace(candidate, proof_rows=images_u8), store)
    assert (store.versions("digit"), store.current("digit")) == ([1], 1)
    assert publish_digit(tmp_path, digits).version == 2
    assert list((tmp_path / "digit").glob(".staging-*")) == []


def test_what_has_a_version_s_name_is_left_as_it_is(tmp_path: Path, digits: Digits) -> None:
    publish_digit(tmp_path, digits)
    (tmp_path / "digit" / "2").write_text("mine")
    (tmp_path / "digit" / "3").symlink_to("1")
    assert publish_digit(tmp_path, digits).version == 4
    assert ArtifactStore(tmp_path).versions("digit") == [1, 4]
    assert (tmp_path / "digit" / "2").read_text() == "mine"
    assert (tmp_path / "digit" / "3").is_symlink()


def published_with(store: ArtifactStore, source: Path, **figures: float) -> Manifest:
    """The version in `source` once more, with these figures on the test split and no others."""
    version = max(store.versions("digit"), default=0) + 1
    metrics = tuple(
        Metric(name=name.replace("_", "-"), value=value, split="test", n=10_000)
        for name, value in figures.items()
    )
    manifest = read_manifest(source).model_copy(update={"version": version, "metrics": metrics})
    shutil.copytree(source, store.folder("digit", version))
    write_manifest(store.folder("digit", version), manifest)
    return manifest


def test_the_live_version_stays_unless_the_new_one_is_at_least_as_good(
    published: Path, tmp_path: Path
) -> None:
    store, told = ArtifactStore(tmp_path), list[str]()

    def live_after(
        wanted: bool | None = None, data: str | None = None, signed: bool = False, **figures: float
    ) -> int:
        new = published_with(store, published / "digit" / "1", **figures)
        if data:
            new = new.model_copy(update={"training": new.record.model_copy(update={"data_sha256": data})})
        Activation(wanted, told.append).carry_out(new, signed, store, lambda _: None)
        return store.current("digit")

    assert live_after(accuracy=0.9) == 1, "the first is live"
    assert live_after(accuracy=0.8) == 1
    assert told[-1] == (
        "digit/2 is not live, digit/1 stays: accuracy (test, n = 10,000) is 0.8 and was 0.9;"
        f" to make it live: python -m service models activate digit 2 --artifacts {tmp_path}"
    )
    assert live_after(accuracy=0.9, negative_log_likelihood=0.3) == 3, "as good"
    assert live_after(accuracy=0.9, negative_log_likelihood=0.4) == 3
    assert live_after(accuracy=0.91, negative_log_likelihood=0.4) == 5
    assert live_after(wanted=True, accuracy=0.1) == 6
    assert live_after(wanted=False, accuracy=0.99) == 6
    assert live_after(negative_log_likelihood=0.1) == 6, "no figure of both"
    assert live_after(accuracy=0.99, data="1" * 64) == 6
    assert "other data" in told[-1]
    (store.folder("digit", 6) / SIGNATURE_FILE).write_bytes(b"of whichever key")
    assert live_after(accuracy=0.99) == 6
    assert "digit/6 stays: the live version is signed and this one is not; to make it live:" in told[-1]
    assert live_after(accuracy=0.99, signed=True) == 11
    assert len(told) == 11
    assert all("\n" not in line for line in told)


def test_a_live_version_that_is_refused_is_not_compared_with(
    published: Path, tmp_path: Path, digits: Digits
) -> None:
    store = ArtifactStore(tmp_path)
    published_with(store, published / "digit" / "1", accuracy=0.9)
    store.activate("digit", 1)
    assert publish_digit(tmp_path, digits).version == 2  # whose accuracy is 0.1
    assert store.current("digit") == 1
    (store.folder("digit", 1) / "model.pt").write_bytes(b"broken")
    assert publish_digit(tmp_path, digits).version == 3
    assert store.current("digit") == 3


def test_what_cannot_be_written_leaves_nothing_behind(
    published: Path, tmp_path: Path, digits: Digits
) -> None:
    shutil.copytree(published, tmp_path / "store")
    store = ArtifactStore(tmp_path / "store")
    with no_file_larger_than(100_000), pytest.raises(PublishFailed, match="File too large"):
        publish_digit(store.root, digits)
    assert sorted(path.name for path in (store.root / "digit").iterdir()) == ["1", "current"]


def test_a_full_disk_is_one_line_and_the_training_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    with small_disk(tmp_path / "disk", "2m") as disk:
        options = ["pass", "--epochs", "5", "--out", str(disk), "--checkpoints", str(runs)]
        (disk / "ballast").write_bytes(bytes(1_500_000))
        refused = CliRunner().invoke(cli, options)
        assert (refused.exit_code, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
        assert "has room for" in refused.stderr
        monkeypatch.setitem(commands.BYTES_NEEDED, "pass", 0)
        (disk / "ballast").write_bytes(bytes(2_060_000))
        full = CliRunner().invoke(cli, options)
        assert (full.exit_code, full.stderr.count("\n")) == (1, 1), full.stderr
        assert "No space left on device" in full.stderr
        assert "holds epoch 5 of 5; the same command with --resume" in full.stderr
        assert list(disk.iterdir()) == [disk / "ballast"]
        (disk / "ballast").unlink()
        resumed = CliRunner().invoke(cli, [*options, "--resume"])
        assert resumed.exit_code == 0, resumed.stderr
        assert (ArtifactStore(disk).current("pass"), list(runs.iterdir())) == (1, [])


def test_a_version_that_cannot_be_made_live_is_published_once(tmp_path: Path) -> None:
    (tmp_path / "pass" / "current").mkdir(parents=True)
    options = ["pass", "--epochs", "5", "--out", str(tmp_path), "--checkpoints", str(tmp_path / "runs")]
    done = CliRunner().invoke(cli, options)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == (
        "pass/1 is published and not live, as `current` cannot be written: Is a directory;"
        f" to make it live: python -m service models activate pass 1 --artifacts {tmp_path}"
    )
    assert not list((tmp_path / "runs").iterdir()), "there is nothing to resume"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_the_lock_of_another_user_is_shared_or_refused_before_the_training() -> None:
    with TemporaryDirectory(dir="/tmp") as name:  # where other users may go, unlike to tmp_path
        root = Path(name)
        (root / "pass").mkdir()
        for folder in (root, root / "pass"):
            folder.chmod(0o1777)  # where nobody may remove it but its owner
        (root / "pass" / ".lock").touch(mode=0o644)
        options = ["pass", "--out", str(root), "--checkpoints", str(root / "runs")]
        try:
            os.seteuid(12345)
            check_publishable("pass", ArtifactStore(root), 1)
            with ArtifactStore(root).publishing("pass") as folder:
                assert list(folder.iterdir()) == [folder / ".lock"]
            os.seteuid(0)
            (root / "pass" / ".lock").chmod(0o600)
            os.seteuid(12345)
            refused = CliRunner().invoke(cli, options)
        finally:
            os.seteuid(0)
        assert (refused.exit_code, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
        assert refused.stderr.startswith(f"Error: --out {root} cannot be written: Permission denied")
        (root / "pass" / ".lock").unlink()
        (root / "pass").chmod(0o755)
        try:
            os.seteuid(12345)
            refused = CliRunner().invoke(cli, options)
        finally:
            os.seteuid(0)
        assert refused.exit_code == 2
        assert refused.stderr.startswith(f"Error: --out {root} cannot be written: Permission denied")


def test_an_archive_may_be_as_large_as_the_service_reads(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = published / "pass" / "1"
    size = (folder / "model.pt").stat().st_size
    monkeypatch.setenv("SERVICE_MAX_MODEL_BYTES", str(size))
    assert proof._loaded_and_asked(folder, None) is None
    assert read_file(folder / "model.pt", "pass")
    monkeypatch.setenv("SERVICE_MAX_MODEL_BYTES", str(size - 1))
    too_large = proof._loaded_and_asked(folder, None)
    assert str(too_large).endswith(f"at most {size - 1} are read")
    with pytest.raises(DataUnavailable, match=r"are served \(SERVICE_MAX_MODEL_BYTES\)"):
        read_file(folder / "model.pt", "pass")
    monkeypatch.setenv("SERVICE_MAX_MODEL_BYTES", "many")
    refused = CliRunner().invoke(cli, ["pass", "--out", str(tmp_path)])
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1), "before the first epoch"
    assert "SERVICE_MAX_MODEL_BYTES='many'" in refused.stderr


def test_two_jobs_at_once_get_two_numbers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training", "pass", "--epochs", "5", "--out", str(tmp_path)]
    with ThreadPoolExecutor(3) as jobs:
        runs = [jobs.submit(subprocess.run, command, cwd=ROOT, check=True) for _ in range(3)]
    assert all(run.result().returncode == 0 for run in runs)
    store = ArtifactStore(tmp_path)
    assert (store.versions("pass"), store.current("pass")) == ([1, 2, 3], 3)
    manifests = [read_manifest(tmp_path / "pass" / str(v)) for v in (1, 2, 3)]
    assert [m.version for m in manifests] == [1, 2, 3]
    assert len({m.check.outputs.data for m in manifests}) == 1  # the same seed, to the bit


def test_a_script_that_runs_again_in_the_fresh_process_fails_and_does_not_hang(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import torch\nfrom rich.console import Console\n"
        "from service.artifacts.store import ArtifactStore\n"
        "from training.publishing.activation import Publication\n"
        "from training.pass_recipe import train_pass\nfrom pathlib import Path\n"
        f"store = ArtifactStore(Path({str(tmp_path)!r}))\n"
        "train_pass(Publication(store), Console(), device=torch.device('cpu'), epochs=5)\n"
    )
    command = [sys.executable, str(script)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert result.returncode == 1
    assert 'if __name__ == "__main__":' in result.stderr
    assert ArtifactStore(tmp_path).versions("pass") == []


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_an_archive_names_no_folder_of_the_machine_that_trained(folder: Path) -> None:
    with zipfile.ZipFile(folder / "model.pt") as archive:
        assert not [n for n in archive.namelist() if n.endswith(".debug_pkl")]
        assert b"site-packages" not in b"".join(map(archive.read, archive.namelist()))


def killed_while_it_publishes(folder: Path) -> list[psutil.Process]:
    """The processes that it had then; none where it was over before."""
    (folder / "pass").mkdir()  # else it is made to try it, and taken away again, while it is looked into
    command = [sys.executable, "-m", "training", "pass", "--epochs", "5", "--out", str(folder)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None and not list(folder.glob("pass/.staging-*/manifest.json")):
            time.sleep(0.001)
        helpers = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
    return helpers


def test_a_killed_publish_leaves_nothing_visible_and_no_process(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    for _ in range(10):
        helpers = killed_while_it_publishes(tmp_path)
        if helpers and not store.versions("pass"):
            break
        shutil.rmtree(tmp_path / "pass")  # the kill came too late to prove anything
    assert helpers
    assert psutil.wait_procs(helpers, timeout=60)[1] == []
    assert store.versions("pass") == []
    assert list(tmp_path.glob("pass/.staging-*"))
    manifest, _ = train_pass(Publication(store), QUIET, epochs=5, device=CPU)
    assert manifest.version == 1
    assert list(tmp_path.glob("pass/.staging-*")) == []


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_every_committed_version_loads(folder: Path) -> None:
    manifest = load(folder, CPU).manifest
    assert (manifest.name, str(manifest.version)) == (folder.parent.name, folder.name)
    assert (folder / "report" / "report.md").is_file()


def test_the_committed_versions_are_the_live_one_and_the_one_before() -> None:
    """Older ones are in the history: every clone, image and wheel would carry them for nothing."""
    store = ArtifactStore(COMMITTED)
    for name in store.names():
        live, versions = store.current(name), store.versions(name)
        assert versions[-1] == live, name
        assert len(versions) <= 2, name


def test_the_committed_versions_are_the_promised_ones() -> None:
    store = ArtifactStore(COMMITTED)
    assert read_manifest(BASELINE).record.recipe == "softmax-mlp"
    live = read_manifest(store.folder("digit", store.current("digit")))
    assert live.record.recipe == "cnn"
    assert live.metric("accuracy", "test").value >= 0.9960
    assert live.metric("expected-calibration-error", "test").value <= 0.003
    assert live.metric("accuracy-mean", "drawn").value >= 0.993
    assert int(live.record.hyperparameters["parameters"]) <= 200_000


def test_the_stated_accuracy_is_that_of_the_archive(digits: Digits) -> None:
    """Re-derived on 500 of the 10,000 test pictures: within what chance allows (5 sigma)."""
    store = ArtifactStore(COMMITTED)
    for folder in (BASELINE, *(store.folder("digit", version) for version in store.versions("digit"))):
        predictor = load(folder, CPU)
        answers = predictor.predict(torch.from_numpy(digits.images_u8).unsqueeze(1))
        right = (answers.argmax(1).numpy() == digits.labels).mean()
        stated = predictor.manifest.metric("accuracy", "test").value
        assert abs(right - stated) <= 5 * (stated * (1 - stated) / 500) ** 0.5


def test_samples_are_the_check_rows() -> None:
    store = ArtifactStore(COMMITTED)
    folder = store.folder("digit", store.current("digit"))
    rows = decode_tensor(read_manifest(folder).check.inputs)
    for digit, row in enumerate(rows):
        with Image.open(folder / "samples" / f"{digit}.png") as picture:
            assert np.array_equal(np.array(picture), row[0].numpy())
