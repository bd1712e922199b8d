"""The examples of OpenAPI: what is shown as the answer to a request is what the service answers to it."""

import httpx
import pytest

from tests.endpoints import described


@pytest.mark.parametrize("model", ["pass", "digit", "object"])
def test_of_the_committed_models(committed_server: httpx.Client, model: str) -> None:
    described.check_examples(committed_server, model)
