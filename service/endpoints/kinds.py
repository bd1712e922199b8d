"""The kinds of endpoints: how a model is asked is what its manifest says, and a line of this table."""

from service.artifacts.manifest import Kind, Manifest
from service.endpoints.digit import DigitEndpoint
from service.endpoints.endpoint import Endpoint
from service.endpoints.picture import PictureEndpoint
from service.endpoints.table import TableEndpoint

KINDS: dict[Kind, type[Endpoint]] = {
    "table": TableEndpoint,
    "picture": PictureEndpoint,
    "digit": DigitEndpoint,
}


def endpoint_of(manifest: Manifest) -> Endpoint:
    """Raises ArtifactError where the manifest does not fit its kind."""
    return KINDS[manifest.kind](manifest)
