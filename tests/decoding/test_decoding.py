"""Pictures are read by processes: the same as here, and no longer than somebody waits."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import psutil
import pytest

from service.artifacts.interface import PictureInput
from service.decoding import decoder, pool
from service.decoding.decoder import NotYet, Task
from service.decoding.pool import Decoding
from service.decoding.process import DecoderProcess
from service.errors import (
    BlankImage,
    FieldError,
    InvalidImage,
    NotReady,
    PictureTooCostly,
    ServiceError,
    TooManyPixels,
    UnsupportedMediaType,
)
from service.pictures.fitting import Fit
from service.pictures.images import Finding, Upload, find, find_digit, open_picture
from tests.conftest import Digits, decoders, png
from tests.reliability.costly import seven, slow_bitmap

pytestmark = pytest.mark.alone  # whoever takes the processors from the children keeps them busy

MAX_PIXELS = 25_000_000
GUARD_S = 60
DIGIT = PictureInput(height=28, width=28, channels=1, resize="mnist")


@pytest.fixture
async def processes() -> AsyncIterator[Decoding]:
    two = Decoding(2, MAX_PIXELS)
    yield two
    await two.close()


async def until_idle(processes: Decoding) -> None:
    async with asyncio.timeout(GUARD_S):
        while processes.busy:
            await asyncio.sleep(0.01)


async def test_it_finds_what_is_found_here(processes: Decoding, digits: Digits) -> None:
    files = [png(255 - image) for image in digits.images_u8[:20]] + [
        png(seven(1500).convert("RGB"), "JPEG")
    ]
    uploads = [Upload(f"file.{number}", file) for number, file in enumerate(files)]
    here = [find_digit(open_picture(data, MAX_PIXELS)) for _, data in uploads]
    assert await processes.find(uploads, "me", DIGIT) == here


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", InvalidImage),
        (b"no picture", UnsupportedMediaType),
        (png(seven(100))[:60], InvalidImage),
        (png(seven(100).point(lambda _: 7)), BlankImage),
        (png(seven(5001), compress_level=1), TooManyPixels),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_it_refuses_what_is_refused_here(
    processes: Decoding, data: bytes, kind: type[ServiceError]
) -> None:
    with pytest.raises(ServiceError) as here:
        find_digit(open_picture(data, MAX_PIXELS))
    with pytest.raises(kind) as there:
        await processes.find([Upload("file", data)], "me", DIGIT)
    assert type(there.value) is type(here.value)
    assert there.value.detail == here.value.detail
    assert there.value.errors == (FieldError("file", here.value.detail),)


@pytest.mark.parametrize(
    "rows",
    [
        PictureInput(height=224, width=224, channels=3, resize="crop", resize_to=256),
        PictureInput(height=40, width=60, channels=1, resize="stretch"),
        PictureInput(height=1024, width=1024, channels=3, resize="crop"),
    ],
    ids=str,
)
async def test_it_makes_rows_of_any_size(processes: Decoding, rows: PictureInput) -> None:
    """Beside digits, and for each model its own, of one picture; a blank one is a picture too."""
    files = [png(seven(300).convert("RGB"), "JPEG"), png(seven(100).point(lambda _: 7)), png(seven(280))]
    uploads = [Upload(f"file.{number}", file) for number, file in enumerate(files)]
    fit = Fit(rows.height, rows.width, rows.channels, rows.resize, rows.resize_to or 0)
    here = [find(open_picture(data, MAX_PIXELS), fit) for _, data in uploads]
    there, digits = await asyncio.gather(
        processes.find(uploads, "me", rows), processes.find(uploads[2:], "me", DIGIT)
    )
    assert there == here
    assert {len(finding.pixels) for finding in there} == {rows.height * rows.width * rows.channels}
    assert digits == [find_digit(open_picture(files[2], MAX_PIXELS))]


@pytest.mark.parametrize("size", [(224, 224), (1024, 1024)], ids=["", "control"])
def test_a_jpeg_is_small_where_it_is_read_at_a_part_of_its_size(size: tuple[int, int]) -> None:
    picture = open_picture(png(seven(1500).convert("RGB"), "JPEG"), MAX_PIXELS)
    assert decoder._is_small(picture, Fit(*size, 3, "crop")) == (size == (224, 224))


async def test_the_first_that_is_wrong_is_named(processes: Decoding) -> None:
    """Whichever of them is read first: the others are given up."""
    good, bad = png(seven(1500)), b"bad"
    uploads = [Upload(f"file.{i}", data) for i, data in enumerate([good, good, bad, bad, good])]
    for _ in range(3):
        with pytest.raises(UnsupportedMediaType) as caught:
            await processes.find(uploads, "me", DIGIT)
        assert [error.field for error in caught.value.errors] == ["file.2"]
    await until_idle(processes)


async def test_what_takes_too_long_is_refused(processes: Decoding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MOST_SECONDS", 1)
    with pytest.raises(PictureTooCostly, match="1 s"):
        await processes.find([Upload("file", slow_bitmap())], "me", DIGIT)
    assert await processes.find([Upload("file", png(seven(100)))], "me", DIGIT)


@pytest.mark.parametrize("grace_s", [0.2, 60], ids=["", "control"])
async def test_a_process_is_free_soon_after_nobody_waits(
    processes: Decoding, monkeypatch: pytest.MonkeyPatch, grace_s: float
) -> None:
    monkeypatch.setattr(pool, "GRACE_S", grace_s)
    processes.start()
    await until_idle(processes)
    (child,) = decoders()
    waiting = asyncio.create_task(processes.find([Upload("file", slow_bitmap())], "me", DIGIT))
    while not processes.busy:
        await asyncio.sleep(0.01)
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    if grace_s > 1:
        await asyncio.sleep(1)
        assert processes.busy == 1
        return
    await until_idle(processes)
    assert child not in decoders()


async def test_what_is_read_quickly_is_finished_though_nobody_waits(
    processes: Decoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new process would take longer."""
    monkeypatch.setattr(pool, "GRACE_S", GUARD_S)  # what is quick depends on what else the machine does
    processes.start()
    await until_idle(processes)
    before = decoders()
    waiting = asyncio.create_task(processes.find([Upload("file", png(seven(280)))] * 8, "me", DIGIT))
    await asyncio.sleep(0)
    waiting.cancel()
    await until_idle(processes)
    assert before[0] in decoders()


@pytest.mark.parametrize("reserved", [True, False], ids=["", "control"])
async def test_small_pictures_find_a_process_beside_large_ones(processes: Decoding, reserved: bool) -> None:
    if not reserved:
        processes._places_for_large = 2
    processes.start()
    processes.start()
    await until_idle(processes)
    large = [
        asyncio.create_task(processes.find([Upload("file", slow_bitmap())] * 3, "them", DIGIT)),
        asyncio.create_task(processes.find([Upload("file", slow_bitmap())] * 3, "me", DIGIT)),
    ]
    await asyncio.sleep(0.1)
    small = asyncio.create_task(processes.find([Upload("file", png(seven(280)))], "me", DIGIT))
    done, _ = await asyncio.wait([small, *large], return_when=asyncio.FIRST_COMPLETED, timeout=3)
    if reserved:
        await small
        assert not large[0].done()
        assert not large[1].done()
    else:
        assert small not in done
    for task in (small, *large):
        task.cancel()
    await asyncio.gather(small, *large, return_exceptions=True)


@pytest.mark.parametrize("clients", [("flood", "other"), ("one", "one")], ids=["", "control"])
async def test_large_pictures_are_read_in_turn_over_clients(
    processes: Decoding, clients: tuple[str, str]
) -> None:
    """The control has one client: then the other's pictures come last, but for one that is being read."""
    picture = Upload("file", png(seven(1200), compress_level=1))
    read: list[str] = []

    async def ask(client: str, name: str) -> None:
        await processes.find([picture], client, DIGIT)
        read.append(name)

    flood, other = clients
    tasks = [asyncio.create_task(ask(flood, "flood")) for _ in range(12)]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(ask(other, "other")) for _ in range(2)]
    await asyncio.gather(*tasks)
    before_other = read[: len(read) - read[::-1].index("other")].count("flood")
    assert before_other >= 11 if flood == other else before_other <= 6


async def test_a_decoder_that_dies_fails_one_picture(processes: Decoding) -> None:
    processes.start()
    await until_idle(processes)
    waiting = asyncio.create_task(processes.find([Upload("file", slow_bitmap())], "me", DIGIT))
    while not processes.busy:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    for child in decoders():
        child.send_signal(signal.SIGSEGV)
    with pytest.raises(InvalidImage, match="its decoder failed"):
        await waiting
    assert await processes.find([Upload("file", png(seven(100)))], "me", DIGIT)


async def test_light_pictures_are_read_together(
    processes: Decoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as leave the other processes their share; what is heavy goes alone."""
    together: list[int] = []
    asked: set[bytes] = set()
    read = DecoderProcess.read

    async def counted(decoder: DecoderProcess, tasks: Sequence[Task]) -> list[Any]:
        together.append(len(tasks))
        asked.update(task.data for task in tasks)
        return await read(decoder, tasks)

    monkeypatch.setattr(DecoderProcess, "read", counted)
    light = [png(seven(size)) for size in range(100, 124)]
    heavy = png(seven(300), compress_level=0)
    await processes.find([Upload("file", picture) for picture in light], "me", DIGIT)
    assert together[0] == pool.TOGETHER
    assert asked == set(light)  # some more than once, if they are not begun in time
    together.clear()
    await processes.find([Upload("file", heavy)] * 6, "me", DIGIT)
    assert together == [1] * 6
    together.clear()
    await processes.find([Upload("file", png(seven(1100), compress_level=0))] * 6, "me", DIGIT)
    assert together == [1] * 6


async def test_of_those_that_are_read_together_each_has_its_own_answer(processes: Decoding) -> None:
    files = [png(seven(100)), b"no picture", png(seven(1500)), png(seven(100).point(lambda _: 7))] * 4
    asked = [processes.find([Upload("file", f)], str(i % 3), DIGIT) for i, f in enumerate(files)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    for number, answer in enumerate(answers):
        if number % 2:
            assert isinstance(answer, (UnsupportedMediaType, BlankImage)[number // 2 % 2])
        else:
            assert answer == [find_digit(open_picture(files[number], MAX_PIXELS))]


@pytest.mark.parametrize("seconds", [0.0, 60.0], ids=["", "control"])
async def test_what_follows_one_that_takes_its_time_goes_to_another_process(seconds: float) -> None:
    """Nothing is begun once the time of those that come together is over; the control has more."""
    tasks = [Task(png(seven(100)), MAX_PIXELS, True, 5.0, Fit(28, 28, 1, "mnist"))] * 3
    answers = list(decoder.answers(list(tasks), seconds))
    assert [answer is None for answer in answers] == [False] + [seconds == 0] * 2
    with pytest.raises(NotYet):
        decoder.found_in(None, b"")


async def test_what_was_left_is_read_after_all(
    processes: Decoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time alone: no slow ones of others come before it again."""
    read = DecoderProcess.read
    together: list[int] = []

    async def hurried(decoder: DecoderProcess, tasks: Sequence[Task]) -> list[tuple[Any, bytes]]:
        together.append(len(tasks))
        return [*(await read(decoder, tasks[:1])), *[(None, b"")] * (len(tasks) - 1)]

    monkeypatch.setattr(DecoderProcess, "read", hurried)
    uploads = [Upload(f"file.{number}", png(seven(100 + number))) for number in range(20)]
    here = [find_digit(open_picture(data, MAX_PIXELS)) for _, data in uploads]
    assert await processes.find(uploads, "me", DIGIT) == here
    left = sum(number - 1 for number in together)
    assert left > 0
    assert sum(together) == 20 + left
    assert together.count(1) >= left


async def eight_together(processes: Decoding) -> tuple[psutil.Process, list[asyncio.Task[list[Finding]]]]:
    """Those that wait for the pictures that one process has, and the process, which stands still."""
    processes._all, processes._idle = processes._all[:1], processes._idle[:1]
    processes.start()
    await until_idle(processes)
    (child,) = decoders()
    child.suspend()
    idle = processes._idle.pop()
    uploads = [Upload("file", png(seven(100 + number))) for number in range(8)]
    waiting = [asyncio.create_task(processes.find([upload], "me", DIGIT)) for upload in uploads]
    await asyncio.sleep(0)
    processes._idle.append(idle)
    processes._dispatch()
    await asyncio.sleep(0.05)
    assert not processes._waiting
    return child, waiting


async def test_a_decoder_that_dies_fails_none_of_several(processes: Decoding) -> None:
    """They are read again, each alone, for none is known to be the cause."""
    child, waiting = await eight_together(processes)
    child.send_signal(signal.SIGSEGV)
    child.resume()
    assert [len(found) for found in await asyncio.gather(*waiting)] == [1] * 8
    assert not child.is_running()


@pytest.mark.parametrize("by", ["us", "the system"])
async def test_one_that_is_killed_while_idle_fails_no_picture(processes: Decoding, by: str) -> None:
    uploads = [Upload("file", png(seven(40)))]
    expected = await processes.find(uploads, "me", DIGIT)
    (process,) = decoders()
    if by == "us":
        for decoder in processes._all:
            decoder.kill()
    else:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # its status is left to the service
    assert await processes.find(uploads, "me", DIGIT) == expected


async def test_one_that_is_given_up_while_its_process_starts_is_no_error(
    processes: Decoding, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pool, "GRACE_S", 0)
    reading = asyncio.create_task(processes.find([Upload("file", png(seven(40)))], "me", DIGIT))
    while not any(decoder._process for decoder in processes._all):
        await asyncio.sleep(0)
    reading.cancel()
    await until_idle(processes)
    assert caplog.messages == []
    monkeypatch.undo()
    assert await processes.find([Upload("file", png(seven(40)))], "me", DIGIT)


async def test_one_that_is_given_up_does_not_take_the_others_with_it(processes: Decoding) -> None:
    child, waiting = await eight_together(processes)
    waiting[0].cancel()
    waiting[3].cancel()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    given_up = [number for number, answer in enumerate(found) if isinstance(answer, BaseException)]
    assert given_up == [0, 3]
    assert not child.is_running()


async def test_where_no_process_starts_pictures_wait(
    processes: Decoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent")
    with pytest.raises(NotReady):
        await processes.find([Upload("file", png(seven(100)))], "me", DIGIT)
    monkeypatch.undo()
    assert await processes.find([Upload("file", png(seven(100)))], "me", DIGIT)


async def test_where_no_descriptor_is_left_pictures_wait(
    processes: Decoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("service.decoding.process.socket.socketpair", none_left)
        with pytest.raises(NotReady):
            await processes.find([Upload("file", png(seven(100)))], "me", DIGIT)
    assert await processes.find([Upload("file", png(seven(100)))], "me", DIGIT)


@pytest.mark.parametrize("says", [b"+", decoder.READY.replace(b"4", b"5", 1)])
async def test_a_process_of_another_version_is_told_from_ours(
    processes: Decoding, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, says: bytes
) -> None:
    """The service's files were replaced while it runs: what it starts does not understand what it sends."""
    other = f"import os, time; os.write({{descriptor}}, {says!r}); time.sleep(60); {{path!r}}"
    monkeypatch.setattr("service.decoding.process._START", other)
    with pytest.raises(NotReady, match="updated while it ran"):
        await processes.find([Upload("file", png(seven(100)))], "me", DIGIT)
    assert "files were replaced" in caplog.text
    monkeypatch.undo()
    assert await processes.find([Upload("file", png(seven(100)))], "me", DIGIT)


async def test_a_decoder_outlives_signals_to_the_group_but_not_the_service(processes: Decoding) -> None:
    processes.start()
    await until_idle(processes)
    (child,) = decoders()
    child.send_signal(signal.SIGTERM)
    child.send_signal(signal.SIGINT)
    assert await processes.find([Upload("file", png(seven(100)))], "me", DIGIT)
    assert os.getpgid(child.pid) != os.getpgid(0)
    await processes.close()
    assert not child.is_running()


async def test_damaged_files_do_not_fill_the_log(
    processes: Decoding, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is wrong with a TIFF is printed by its library; the control reads it here."""
    whole = png(seven(100), "TIFF", compression="tiff_adobe_deflate")
    damaged = whole.replace(b"\x78\x9c", b"\x00\x00", 1).replace(b"\x78\xda", b"\0\0", 1)
    with pytest.raises(InvalidImage):
        await processes.find([Upload("file", damaged)], "me", DIGIT)
    assert capfd.readouterr().err == ""
    with pytest.raises(InvalidImage):
        find_digit(open_picture(damaged, MAX_PIXELS))
    assert "Decode" in capfd.readouterr().err


async def test_closing_while_a_process_starts_leaves_none() -> None:
    """Wherever it is in starting."""
    for steps in range(12):
        two = Decoding(2, MAX_PIXELS)
        two.start()
        for _ in range(steps):
            await asyncio.sleep(0.005 if steps > 6 else 0)
        await two.close()
        assert decoders() == []


def test_a_process_that_reads_pictures_is_light() -> None:
    code = (
        "import sys, service.decoding.decoder;"
        " print({'torch', 'pydantic', 'fastapi', 'starlette'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"
