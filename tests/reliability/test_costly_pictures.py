"""Pictures that ask for much memory or time: answered, or refused before they take either."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from service.errors import PictureTooCostly
from service.pictures.images import find_digit, open_picture
from tests.conftest import ROOT, Served, png, served, wait_for
from tests.reliability.costly import in_small_pieces, large_pictures, many_scans, seven, slow_bitmap
from tests.reliability.heartbeat import PLANTED
from tests.reliability.test_cost import HEART, longest_s

Report = Callable[[str, str, str], None]
MAX_PIXELS = 25_000_000
MOST_MIB = 150

# Reads a picture from its input, and prints by how many MiB it grew meanwhile, at its peak.
MEASURED = """
import sys
from io import BytesIO
from pathlib import Path
from PIL import Image
from service.pictures.fitting import Fit
from service.pictures.images import find, find_digit, open_picture

def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(name))

def read(data):
    find_digit(open_picture(data, 25_000_000))

def read_for_imagenet(data):
    find(open_picture(data, 25_000_000), Fit(224, 224, 3, "crop", 256))

def read_at_once(data):
    Image.open(BytesIO(data)).convert("RGB")

warming = BytesIO()
Image.radial_gradient("L").save(warming, "PNG")
read(warming.getvalue())  # makes what is made once
read_for_imagenet(warming.getvalue())
data = sys.stdin.buffer.read()
before = memory("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
{way}(data)
print(memory("VmHWM") - before)
"""


def grown_mib(data: bytes, way: str = "read") -> int:
    command = [sys.executable, "-W", "ignore", "-c", MEASURED.format(way=way)]
    return int(subprocess.run(command, cwd=ROOT, input=data, stdout=subprocess.PIPE, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_memory_of_large_pictures(long: bool, figure: Report) -> None:
    pictures = dict(large_pictures(long))
    grown = {name: grown_mib(data) for name, data in pictures.items()}
    worst = max(grown, key=grown.__getitem__)
    control = grown_mib(pictures["RGBA"], "read_at_once")
    figure(
        f"25 million pixels of each of {len(grown)} kinds",
        f"memory grows by ≤ {MOST_MIB} MiB",
        f"at most {grown[worst]} MiB ({worst}); without bands {control} MiB",
    )
    assert {name: mib for name, mib in grown.items() if mib > MOST_MIB} == {}
    assert control > MOST_MIB
    for name in pictures if long else ("RGB, turned", "TIFF of mode CMYK", "WebP"):
        assert grown_mib(pictures[name], "read_for_imagenet") <= MOST_MIB, name


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "GIF"])
def test_a_picture_in_small_pieces(image_format: str) -> None:
    find(in_small_pieces(image_format, 40_000))  # the control: that it is in pieces does not matter
    with pytest.raises(PictureTooCostly, match="pieces"):
        find(in_small_pieces(image_format))


def test_a_jpeg_of_many_scans() -> None:
    find(many_scans(280, 100))
    with pytest.raises(PictureTooCostly, match="scans"):
        find(many_scans(5000, 100))


def find(data: bytes) -> None:
    find_digit(open_picture(data, MAX_PIXELS))


@pytest.fixture(scope="module")
def service(published: Path) -> Iterator[Served]:
    with served("--artifacts", str(published), module=HEART) as running:
        yield running


@pytest.fixture(scope="module")
def faulty(published: Path) -> Iterator[Served]:
    with served("--artifacts", str(published), module=HEART, **{PLANTED: "on_the_loop"}) as running:
        yield running


def test_the_event_loop_beside_costly_pictures(service: Served, faulty: Served, figure: Report) -> None:
    """The control reads them on the event loop."""
    pictures = {
        "4 MB of metadata in small pieces": (in_small_pieces("GIF"), 422, 20),
        "25 million pixels of RGBA": (png(seven(5000).convert("RGBA"), compress_level=1), 200, 3),
    }
    for name, (data, status, times) in pictures.items():

        def ask(client: httpx.Client, data: bytes = data) -> httpx.Response:
            return client.post("/predict/digit", content=data, headers={"Content-Type": "image/*"})

        busy_s, response = longest_s(service, ask, times)
        control_s, control = longest_s(faulty, ask, times)
        figure(
            name,
            "the event loop is never busy for long",
            f"loop busy for {1e3 * busy_s:.1f} ms (control {1e3 * control_s:.0f} ms)",
        )
        assert (response.status_code, control.status_code) == (status, status)
        assert busy_s < control_s / 3


def test_a_process_is_free_soon_after_the_504(service: Served, figure: Report) -> None:
    """The control is answered in time: its process goes on to the next picture."""

    def ask(data: bytes, timeout_ms: int) -> int:
        headers = {"Content-Type": "image/*", "X-Request-Timeout-Ms": str(timeout_ms)}
        return service.client.post("/predict/digit", content=data, headers=headers).status_code

    def decoders() -> set[int]:
        return {child.pid for child in psutil.Process(service.process.pid).children()}

    for _ in range(2):  # both have begun
        ask(png(seven(280)), 60_000)
    before = decoders()
    assert ask(png(seven(1000)), 60_000) == 200
    assert before <= decoders()
    wait_for(lambda: ask(slow_bitmap(), 3_000) == 504)  # 408 where it has not come in time
    assert wait_for(lambda: not before <= decoders())
    assert ask(png(seven(1000)), 60_000) == 200
    figure("a picture that takes 7 s, with 3 s to live", "504, and its process is ended", "ended")
