"""A version that more than one test of the engine takes."""

from pathlib import Path

import pytest

from tests.conftest import Digits
from tests.training.quantized_digits import publish_with_int8


@pytest.fixture(scope="session")
def with_int8(tmp_path_factory: pytest.TempPathFactory, digits: Digits) -> Path:
    """The baseline's weights, published again with an int8 form beside them."""
    root = tmp_path_factory.mktemp("with-int8")
    publish_with_int8(root, digits)
    return root / "digit" / "1"
