"""Many pictures, read by actors: as the service answers them, gone on with when stopped, how quickly."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import psutil
import pytest
import torch

from benchmarks.process import cpu_seconds
from tests.cli.asking import predict
from tests.conftest import COMMITTED, ROOT, Digits, Served, png, served
from tests.reliability.cluster import BIN, Cluster, cluster

pytestmark = pytest.mark.skipif(not find_spec("ray"), reason="ray is not installed: make test-ray")

Report = Callable[[str, str, str], None]

PICTURES = 100
PICTURES_LONG = 40_000
ROWS_LONG = 1_000_000  # of a table
# What lies between is timed: first all actors have read some, and in the end all still have some to read.
WARM, NEARLY_DONE = 0.3, 0.9  # shares of all
ACTORS = (1, 2, 4)
MOST_KB = 30_000  # that many rows more may take: to hold them took 0.6 kB each
ROUNDS = 3
PNG = {"Content-Type": "image/png"}


def test_pictures_are_answered_as_by_the_service_and_once(tmp_path: Path, digits: Digits) -> None:
    out, folder = tmp_path / "answers.jsonl", pictures(tmp_path, digits, PICTURES)
    (folder / "none.png").write_bytes(b"no picture")
    with cluster() as ray:
        assert read(ray, folder, out) == 1
        first = answers(out)
        out.write_text("".join(out.read_text().splitlines(keepends=True)[:40]))  # as when it was stopped
        assert read(ray, folder, out) in (0, 1)
        again = answers(out)
    assert sorted(first) == sorted(again)
    assert len(first) == PICTURES + 1
    assert "error" in first[str(folder / "none.png")]
    with served("--artifacts", str(COMMITTED), "--models", "digit") as service:
        for number in range(3):
            picture = folder / f"{number:05}.png"
            answer = service.client.post("/predict/digit", content=picture.read_bytes(), headers=PNG).json()
            found = first[str(picture)]
            assert found["digit"] == answer["digit"]
            assert found["version"] == answer["version"]
            assert found["probabilities"] == pytest.approx(answer["probabilities"], abs=1e-5)


def test_a_table_of_pictures_and_one_of_rows(tmp_path: Path, digits: Digits) -> None:
    folder = pictures(tmp_path, digits, 3)
    (folder / "list.csv").write_text("file,label\n00000.png,7\n00001.png,2\nnone.png,3\n")
    rows = [*(f"s{n},{n / 100}" for n in range(3_000)), "strange,many"]
    (tmp_path / "hours.csv").write_text("\n".join(["who,hours", *rows]) + "\n")
    seen, about = tmp_path / "seen.jsonl", tmp_path / "about.jsonl"
    with cluster() as ray:
        assert read(ray, folder / "list.csv", seen) == 1
        assert read(ray, tmp_path / "hours.csv", about, model="pass") == 1
        about.write_text("".join(about.read_text().splitlines(keepends=True)[:2_000]))  # as when stopped
        assert read(ray, tmp_path / "hours.csv", about, model="pass") in (0, 1)
        with served("--artifacts", str(COMMITTED), "--models", "pass") as service:
            url = str(service.client.base_url)
            command = ["pass", "hours.csv", "--out", "asked.jsonl", "--url", url]
            assert predict(tmp_path, *command).returncode == 1
    found = answers(seen)
    assert [(one["given_label"], "error" in one) for _, one in sorted(found.items())] == [
        ("7", False),
        ("2", False),
        ("3", True),
    ]
    read_here, asked = (lines_of(path) for path in (about, tmp_path / "asked.jsonl"))
    assert [one["row"] for one in read_here] == list(range(1, 3_002))
    assert "hours: " in read_here[-1]["error"]
    probabilities = [[one.pop("probability", 0) for one in lines] for lines in (read_here, asked)]
    assert read_here == asked
    assert probabilities[0] == pytest.approx(probabilities[1], abs=1e-6)


def test_a_command_that_cannot_go_on_says_why(tmp_path: Path, digits: Digits) -> None:
    """In a line: an actor that has no such device, and Ctrl-C, behind which it is gone on with."""
    folder, out = pictures(tmp_path, digits, PICTURES), tmp_path / "answers.jsonl"
    (tmp_path / "hours.csv").write_text("hours\n" + 100_000 * "1\n")
    with cluster() as ray:
        command = words(folder, out, actors=2)
        environment = ray.environment | {"SERVICE_DEVICE": "cuda"}
        if not torch.cuda.is_available():
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
            assert done.returncode == 3
            assert "0 answered" in done.stderr.splitlines()[-1]
            assert "stopped: " in done.stderr.splitlines()[-1]
            assert "Traceback" not in done.stderr
        out = tmp_path / "hours.jsonl"
        command = words(tmp_path / "hours.csv", out, actors=1, model="pass")
        with subprocess.Popen(
            command, cwd=ROOT, env=ray.environment, stderr=subprocess.PIPE, text=True
        ) as asking:
            Answered(out).wait_for(1, asking)
            asking.send_signal(signal.SIGINT)
            _, said = asking.communicate(timeout=120)
        assert asking.returncode == 130, said
        assert said.splitlines()[-1].endswith("interrupted; the same command goes on")
        begun = len(lines_of(out))
        assert 0 < begun < 100_000
        assert read(ray, tmp_path / "hours.csv", out, model="pass") == 0
    assert [one["row"] for one in lines_of(out)] == list(range(1, 100_001))


def test_the_actor_is_a_step_of_ray_data(tmp_path: Path, digits: Digits) -> None:
    """As docs/scale.md has it, of folders: the answers are those of the command."""
    folder = pictures(tmp_path, digits, PICTURES)
    (folder / "none.png").write_bytes(b"no picture")
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "scale.md").read_text(), re.DOTALL)
    for url, path in (("models", COMMITTED), ("scans", folder), ("answers", tmp_path / "answers")):
        code = code.replace(f"s3://{url}", str(path))
    (tmp_path / "pipeline.py").write_text(code.replace("concurrency=4", "concurrency=1"))
    read_out = tmp_path / "read.jsonl"
    with cluster() as ray:
        environment = ray.environment | {"PYTHONPATH": str(ROOT)}
        subprocess.run([BIN / "python", tmp_path / "pipeline.py"], cwd=ROOT, env=environment, check=True)
        assert read(ray, folder, read_out) == 1
    rows = pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "answers").to_pylist()
    found = {Path(row["path"]).name: json.loads(row["answer"]) for row in rows}
    expected = {Path(path).name: one for path, one in answers(read_out).items()}
    assert found.keys() == expected.keys()
    assert found.pop("none.png") == expected.pop("none.png")["error"]
    assert {name: one["digit"] for name, one in found.items()} == {
        name: one["digit"] for name, one in expected.items()
    }


def test_memory_does_not_grow_with_rows(tmp_path: Path, long: bool, figure: Report) -> None:
    """Of the command, which reads and writes; what Ray's store of objects has is bounded by Ray."""
    few, many = (20_000, 1_000_000 if long else 220_000)
    most: list[int] = []
    with cluster() as ray:
        for rows in (few, many):
            table, out = tmp_path / f"{rows}.csv", tmp_path / f"{rows}.jsonl"
            table.write_text("hours\n" + "".join(f"{n % 1000 / 100}\n" for n in range(rows)))
            with running(words(table, out, actors=2, model="pass"), ray) as asking:
                most.append(most_kb(asking))
            assert asking.returncode == 0
            assert [one["row"] for one in lines_of(out)] == list(range(1, rows + 1))
    grown = most[1] - most[0]
    figure(
        f"deploy.ray.batch: {few:,} rows of a table, and {many:,}",
        "the same memory",
        f"{grown / 1e3:+.0f} MB",
    )
    assert grown < MOST_KB


def test_a_cluster_that_asks_for_a_token(tmp_path: Path, digits: Digits, long: bool) -> None:
    if not long:
        pytest.skip("Ray tries for half a minute: make test-ray")
    command = words(pictures(tmp_path, digits, 1), tmp_path / "answers.jsonl", actors=1)
    with cluster() as ray:
        environment = ray.environment | {"RAY_AUTH_MODE": "disabled", "COLUMNS": "200"}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 2, done.stderr
    assert "Failed to connect to Ray cluster" in done.stderr
    assert "RAY_AUTH_MODE is to be token" in done.stderr
    assert "Traceback" not in done.stderr


class Speed(NamedTuple):
    per_second: float
    cpu_us: float  # a picture, of all processes


def test_how_many_a_second(tmp_path: Path, digits: Digits, long: bool, figure: Report) -> None:
    """Of what is in full swing: neither starts nor ends are in it."""
    if not long:
        pytest.skip("make test-ray")
    folder, table = pictures(tmp_path, digits, PICTURES_LONG), tmp_path / "hours.csv"
    table.write_text("hours\n" + "".join(f"{n % 1000 / 100}\n" for n in range(ROWS_LONG)))
    with served("--artifacts", str(COMMITTED)) as service, cluster() as ray:
        for kind, model, path, count in (
            ("pictures", "digit", folder, PICTURES_LONG),
            ("rows of a CSV file", "pass", table, ROWS_LONG),
        ):
            for name, speeds in each_way(ray, service, model, path, count).items():
                per_second, cpu_us = (median(values) for values in zip(*speeds, strict=True))
                said = f"{per_second:,.0f}/s, processor {cpu_us:,.0f} µs each"
                figure(f"{count:,} {kind}: {name}", "", said)
        out = tmp_path / "killed.jsonl"
        begun = kill_when_warm(words(folder, out, actors=2), out, ray)
        assert read(ray, folder, out) == 0
        gone_on = answers(out)
    figure(
        "the same pictures, killed and given again",
        "each answered once",
        f"{len(gone_on):,} answers, {begun:,} of them from before",
    )
    assert len(gone_on) == PICTURES_LONG


def each_way(ray: Cluster, service: Served, model: str, path: Path, count: int) -> dict[str, list[Speed]]:
    """In turn."""
    url = str(service.client.base_url)
    bulk = [f"{BIN}/python", "-m", "abacus_cli", "predict", model, str(path), "--url", url]
    seen: dict[str, list[Speed]] = {}
    for number in range(ROUNDS):
        out = path.with_name(f"{model}-bulk-{number}.jsonl")
        speed = timed([*bulk, "--out", str(out)], out, count, ray, [psutil.Process(service.process.pid)])
        seen.setdefault("abacus predict, one service", []).append(speed)
        for actors in ACTORS:
            out = path.with_name(f"{model}-ray-{number}-{actors}.jsonl")
            speed = timed(words(path, out, actors, model), out, count, ray, ray.nodes)
            seen.setdefault(f"deploy.ray.batch --actors {actors}", []).append(speed)
    return seen


def pictures(tmp_path: Path, digits: Digits, count: int) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    files = [png(image) for image in digits.images_u8]
    for number in range(count):
        (folder / f"{number:05}.png").write_bytes(files[number % len(files)])
    return folder


def words(folder: Path, out: Path, actors: int, model: str = "digit") -> list[str]:
    command = [f"{BIN}/python", "-m", "deploy.ray.batch", model, f"{folder}", "--out", f"{out}"]
    return [*command, "--actors", f"{actors}", "--artifacts", f"{COMMITTED}"]


def read(ray: Cluster, folder: Path, out: Path, model: str = "digit") -> int:
    command = words(folder, out, actors=2, model=model)
    done = subprocess.run(command, cwd=ROOT, env=ray.environment, capture_output=True, timeout=240)
    assert done.returncode in (0, 1), done.stderr.decode()
    assert b"answered in" in done.stderr
    return done.returncode


def timed(
    command: list[str], out: Path, count: int, ray: Cluster, others: Sequence[psutil.Process]
) -> Speed:
    with running(command, ray) as asking:
        roots, answered = [psutil.Process(asking.pid), *others], Answered(out)
        began = answered.wait_for(round(WARM * count), asking)
        began_s, began_cpu_s = time.monotonic(), cpu_s(roots)
        ended = answered.wait_for(round(NEARLY_DONE * count), asking)
        ended_s, ended_cpu_s = time.monotonic(), cpu_s(roots)
        assert asking.wait(60) == 0
    seen = ended - began
    return Speed(seen / (ended_s - began_s), 1e6 * (ended_cpu_s - began_cpu_s) / seen)


def kill_when_warm(command: list[str], out: Path, ray: Cluster) -> int:
    """How many were answered by then."""
    with running(command, ray) as asking:
        Answered(out).wait_for(round(WARM * PICTURES_LONG), asking)
        asking.send_signal(signal.SIGKILL)
        asking.wait()
    return len(answers(out))


def running(command: list[str], ray: Cluster) -> subprocess.Popen[bytes]:
    silent = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=ROOT, env=ray.environment, stdout=silent, stderr=silent)


def most_kb(asking: subprocess.Popen[Any]) -> int:
    """Of its own memory until it ends, but for what it shares with other processes."""
    most = 0
    status = Path(f"/proc/{asking.pid}/status")
    while asking.poll() is None:
        found = re.search(r"^RssAnon:\s+(\d+) kB", status.read_text(), re.M)
        most = max(most, int(found[1]) if found else 0)
        time.sleep(0.02)
    return most


class Answered:
    """How many lines a file has; each is read once, as looking must not cost what is timed."""

    def __init__(self, out: Path) -> None:
        self._out, self._read, self._lines = out, 0, 0

    def wait_for(self, count: int, asking: subprocess.Popen[Any]) -> int:
        """Until there are as many; how many there are."""
        while self._look() < count:
            assert asking.poll() in (None, 0)
            time.sleep(0.02)
        return self._lines

    def _look(self) -> int:
        if self._out.exists():
            with self._out.open("rb") as file:
                file.seek(self._read)
                found = file.read()
            self._read += len(found)
            self._lines += found.count(b"\n")
        return self._lines


def cpu_s(roots: Sequence[psutil.Process]) -> float:
    """Of these and all that they started; none of them ends meanwhile."""
    processes = {p.pid: p for root in roots for p in (root, *root.children(recursive=True))}
    return cpu_seconds(processes.values())


def lines_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text().splitlines()]


def answers(out: Path) -> dict[str, dict[str, object]]:
    rows = lines_of(out)
    assert len({row["file"] for row in rows}) == len(rows)
    return {row["file"]: row for row in rows}
