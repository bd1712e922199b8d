"""What the pages state is so, and what they link to is there."""

import re
from pathlib import Path

from service.artifacts.store import ArtifactStore
from service.artifacts.version_folder import read_manifest
from tests.conftest import BASELINE, COMMITTED, ROOT

TRAINING = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")


def test_the_stated_accuracies_are_those_of_the_manifests() -> None:
    store = ArtifactStore(COMMITTED)
    for folder in (BASELINE, store.folder("digit", store.current("digit"))):
        manifest = read_manifest(folder)
        stated = f"{manifest.metric('accuracy', 'test').value:.2%}".replace("%", " %")
        rows = re.findall(rf"^\| `{manifest.record.recipe}`.*$", TRAINING, re.M)
        assert any(stated in row for row in rows)


def test_every_path_that_the_documents_link_to_exists() -> None:
    folders = [ROOT / folder / "README.md" for folder in ("artifacts", "findings")]
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *folders]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / Path(target)).exists(), f"{page.name}: {target}"
