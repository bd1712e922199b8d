"""What pyproject.toml cannot say: a wheel carries the live version of each model that is committed."""

from pathlib import Path
from shutil import copytree, ignore_patterns

from setuptools import setup
from setuptools.command.build_py import build_py

ARTIFACTS = Path("artifacts")


class BuildWithModels(build_py):
    """Copies them into the package, where `service/artifacts/shipped.py` looks; reports stay out."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # the checkout has them
        shipped = Path(self.build_lib) / "service" / "shipped_models"
        for pointer in ARTIFACTS.glob("*/current"):
            version = pointer.read_text().strip()
            name = pointer.parent.name
            copytree(pointer.parent / version, shipped / name / version, ignore=ignore_patterns("report"))
            (shipped / name / "current").write_bytes(pointer.read_bytes())


setup(cmdclass={"build_py": BuildWithModels})
