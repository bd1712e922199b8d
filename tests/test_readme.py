"""The README's requests and answers, asked of the real service."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.artifacts.store import ArtifactStore, read_manifest
from tests.conftest import BASELINE, COMMITTED, ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```sh\n(curl .+)\n```\n\n```json\n(.+)\n```", README)


def ask(client: httpx.Client, command: str) -> dict[str, Any]:
    """Do what the curl command does."""
    words = shlex.split(command)
    path = words[1].removeprefix("http://127.0.0.1:8000")
    options = dict(zip(words[2::2], words[3::2], strict=True))
    if "-F" in options:
        field, _, file = options["-F"].partition("=@")
        response = client.post(path, files={field: (ROOT / file).read_bytes()})
    else:
        headers = dict([options["-H"].split(": ")])
        response = client.post(path, content=options["-d"], headers=headers)
    answer: dict[str, Any] = response.json()
    return answer


def flat(answer: dict[str, Any]) -> dict[str, Any]:
    """Lists unrolled, so that pytest.approx can compare every number."""
    numbers = {f"{k}.{i}": x for k, v in answer.items() if isinstance(v, list) for i, x in enumerate(v)}
    return {k: v for k, v in answer.items() if not isinstance(v, list)} | numbers


@pytest.mark.parametrize(("command", "answer"), EXAMPLES)
def test_an_example_gives_its_answer(committed_server: httpx.Client, command: str, answer: str) -> None:
    assert flat(ask(committed_server, command)) == pytest.approx(flat(json.loads(answer)), abs=1e-5)


def test_both_routes_have_an_example() -> None:
    assert len(EXAMPLES) == 2


def test_the_stated_accuracies_are_those_of_the_manifests() -> None:
    store = ArtifactStore(COMMITTED)
    for folder in (BASELINE, store.folder("digit", store.current("digit"))):
        manifest = read_manifest(folder)
        stated = f"{manifest.metric('accuracy', 'test').value:.2%}".replace("%", " %")
        (row,) = re.findall(rf"^\| `{manifest.record.recipe}`.*$", README, re.M)
        assert stated in row


def test_every_path_that_the_documents_link_to_exists() -> None:
    folders = [ROOT / folder / "README.md" for folder in ("artifacts", "findings")]
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *folders]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / Path(target)).exists(), f"{page.name}: {target}"
