"""Int8 layers: ready for each batch size, and the same answers whatever a batch is filled up to."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch

from service.engine import quantized
from service.engine.devices import AsItIs, Runner
from service.engine.quantized import SIZES, Quantized
from service.engine.ways import form_of, torchscript_accepted
from tests.conftest import COMMITTED, DIGIT_VERSION, Digits


def rows_of(digits: Digits, count: int) -> torch.Tensor:
    return torch.from_numpy(digits.images_u8[:count])[:, None]


def int8_archive(version: Path) -> Quantized:
    with torchscript_accepted():
        return form_of((version / "model.pt").read_bytes(), "int8")


@pytest.mark.parametrize("layers", ["linear", "convolutions"])
def test_a_batch_of_any_size_is_answered_as_by_the_archive_as_it_is(
    layers: str, with_int8: Path, digits: Digits
) -> None:
    """Whatever it is filled up with: no row is lost, and none is answered for another."""
    shipped = COMMITTED / "digit" / DIGIT_VERSION
    int8 = int8_archive(with_int8 if layers == "linear" else shipped)
    per_size = int8.per_size(rows_of(digits, 1))
    with AsItIs():
        for count in range(1, SIZES[-1] + 10):
            rows = rows_of(digits, count)
            torch.testing.assert_close(per_size(rows), int8.run(rows), atol=1e-5, rtol=0)


def test_every_size_meets_layers_of_its_own(
    with_int8: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which oneDNN has made ready for it; that takes them half as long as layers that met others."""
    met = defaultdict[int, set[int]](set)
    frozen = quantized._frozen

    def watched(module: Any) -> Runner:
        run, number = frozen(module), len(made)
        made.append(run)
        return lambda rows: met[number].add(len(rows)) or run(rows)  # type: ignore[func-returns-value]

    made = list[Runner]()
    monkeypatch.setattr(quantized, "_frozen", watched)
    per_size = int8_archive(with_int8).per_size(rows_of(digits, 1))
    with AsItIs():
        for count in range(1, SIZES[-1] + 1):
            per_size(rows_of(digits, count))
    assert sorted(size for sizes in met.values() for size in sizes) == list(SIZES)
    assert {len(sizes) for sizes in met.values()} == {1}


def test_a_large_archive_has_no_copies(
    with_int8: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantized, "COPIED_BYTES", 1000)
    int8 = int8_archive(with_int8)
    assert int8.per_size(rows_of(digits, 1)) is int8.run
