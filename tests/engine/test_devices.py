"""What a device can compute."""

import logging
from pathlib import Path

import pytest
import torch

from service.app import create_app
from service.engine.devices import computes
from service.settings import Settings
from tests.conftest import CPU, running


@pytest.mark.parametrize(
    ("capabilities", "bfloat16", "float16"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, False, False),
        ({"avx512_bf16": True}, True, False),
        ({"amx_bf16": True, "amx_fp16": True}, True, True),
        ({"avx512_fp16": True}, False, True),
        ({"bf16": True, "fp16_arith": True, "architecture": "arm64"}, True, True),
        (None, False, False),
    ],
)
def test_half_precision_is_for_processors_with_instructions_for_it(
    capabilities: dict[str, object] | None, bfloat16: bool, float16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None: an older torch, which does not tell."""
    can(capabilities, monkeypatch)
    assert (computes(CPU, torch.bfloat16), computes(CPU, torch.float16)) == (bfloat16, float16)
    assert computes(CPU, torch.float32)


@pytest.mark.parametrize("precision", ["auto", "float32", "bfloat16", "float16"])
async def test_an_operator_is_told_of_a_precision_that_the_processor_has_not(
    precision: str, published: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    can({"avx512_fp16": True}, monkeypatch)
    caplog.set_level(logging.WARNING)
    settings = Settings(artifacts=published, models=["pass"], precision=precision)
    async with running(create_app(settings)):
        pass
    told = [text for text in caplog.messages if "no instructions" in text]
    assert told == (
        ["cpu has no instructions for bfloat16: float32 is quicker"] if precision == "bfloat16" else []
    )


def can(capabilities: dict[str, object] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    if capabilities is not None:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
