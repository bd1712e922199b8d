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


def test_every_version_that_a_page_tells_to_use_is_committed() -> None:
    """Those of a page that is run only by `make docs` too: a version goes when the next ones come."""
    used = re.compile(r"(?:\bmodels [a-z]+ |\bartifacts/)([a-z]+)[ /](\d+)\b")
    shipped = {folder.name for folder in COMMITTED.iterdir() if folder.is_dir()}
    found = set()
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for name, version in used.findall(page.read_text(encoding="utf-8")):
            if name in shipped and page.name != "CHANGELOG.md":
                assert (COMMITTED / name / version).is_dir(), f"{page.name}: {name} {version}"
                found.add(page.name)
    assert found >= {"README.md", "operations.md"}
