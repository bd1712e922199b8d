"""The models that come with the package: what is served where no others are named."""

from pathlib import Path

from service.settings import Settings

_PACKAGE = Path(__file__).parent.parent
_PLACES = (
    _PACKAGE / "shipped_models",  # in an installed package, where its build puts them
    _PACKAGE.parent / "artifacts",  # in a checkout
)


def located(settings: Settings, absolute: bool = False) -> Settings:
    """Settings with the place of models filled in: the one named, or `artifacts` here, or what is shipped.

    `absolute`: for a process that works in another folder.
    """
    root = settings.artifacts
    if isinstance(root, str):
        return settings
    if "artifacts" not in settings.model_fields_set and not root.is_dir():
        root = next(filter(Path.is_dir, _PLACES), root)
    return settings.model_copy(update={"artifacts": root.resolve() if absolute else root})
