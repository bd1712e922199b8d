"""The models that come with the package: what is served where no others are named."""

from pathlib import Path

from service.settings import Settings

_PACKAGE = Path(__file__).parent.parent
_PLACES = (
    _PACKAGE / "shipped_models",  # in an installed package, where its build puts them
    _PACKAGE.parent / "artifacts",  # in a checkout
)


def root_of(settings: Settings) -> Path | str:
    """The place of published models: the one that is named, or `artifacts` here, or what is shipped."""
    named = "artifacts" in settings.model_fields_set
    if named or isinstance(settings.artifacts, str) or settings.artifacts.is_dir():
        return settings.artifacts
    return next(filter(Path.is_dir, _PLACES), settings.artifacts)


def absolute_root_of(settings: Settings) -> Path | str:
    """Likewise, for a process that works in another folder."""
    root = root_of(settings)
    return root.resolve() if isinstance(root, Path) else root
