"""The weights of a published digit net once more: what is fitted after them anew, or refined before."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from service.artifacts.manifest import ArtifactError, Manifest, TrainingRecord
from service.artifacts.version_folder import read_further_files, read_manifest, read_model, title
from training.digits import digit_nets as nets
from training.digits.digit_publication import Split, calibrate_and_publish
from training.digits.digit_recipe import RECIPES, Recipe, start
from training.digits.refining import OTHERS_TAUGHT, REFINING, TAUGHT, TEMPERATURE, refined
from training.publishing.activation import Publication
from training.publishing.archive import network, weights
from training.record import git_commit, parameter_count


def recalibrate_digit(
    version: int,
    data: Path,
    to: Publication,
    console: Console,
    *,
    refine: bool = False,
    teachers: Sequence[int] = (),
) -> Manifest:
    """Publish the weights of a version again, with what is fitted after them fitted anew.

    With `refine` they first learn what today's recipe adds to MNIST, taught by themselves and by other
    versions, the `teachers`.
    Raises ArtifactError, DataUnavailable, Diverged or PublishFailed.
    """
    folder = to.store.folder("digit", version)
    manifest, model = _torchscript(folder)
    net, recipe, record = network_of(model, manifest)
    again: dict[str, str | int | float] = {
        "weights_of_version": version,
        "calibrated_at_commit": git_commit() or "unknown",
        "parameters": parameter_count(net),
    }
    curves = _curves(folder, version)
    others = [network(_torchscript(to.store.folder("digit", teacher))[1]) for teacher in teachers]
    split = Split.load(data, recipe, console)
    if refine:
        net = refined(net, others, split.train, split.own, console)
        refining = REFINING.on(split.train.inputs.device).as_dict()
        again |= recipe.data() | {f"refining_{name}": value for name, value in refining.items()}
        again |= {"refining_taught": TAUGHT, "refining_others_taught": OTHERS_TAUGHT}
        again |= {"refining_temperature": TEMPERATURE, "refining_teachers": ", ".join(map(str, teachers))}
    before = {
        name: value
        for name, value in record.hyperparameters.items()
        if not (refine and name.startswith("refining_"))  # of how the weights were refined last
    }
    record = record.model_copy(update={"hyperparameters": before | again})
    return calibrate_and_publish(net, recipe, record, split, curves, to, console)


def network_of(model: bytes, manifest: Manifest) -> tuple[nets.RejectingDigitNet, Recipe, TrainingRecord]:
    """In evaluation mode. Raises ArtifactError."""
    record, of = manifest.training, f"digit/{manifest.version}"
    recipe = RECIPES.get(record.recipe) if record else None
    net = start(recipe, record.seed) if record and recipe else None
    if not record or not recipe or not isinstance(net, nets.RejectingDigitNet) or not manifest.output.score:
        raise ArtifactError(f"{of} has nothing that is fitted after its weights")
    own = net.state_dict()
    found = {
        name: value
        for name, value in weights(model).items()
        if name in own and not name.startswith("rejector.")
    }
    missing = {name for name in own if name.startswith("body.")} - set(found)
    if missing or any(own[name].shape != value.shape for name, value in found.items()):
        raise ArtifactError(f"{of} is a net of another form than today's {recipe.name}")
    net.load_state_dict(own | found)
    return net.eval(), recipe, record


def _torchscript(folder: Path) -> tuple[Manifest, bytes]:
    """A version and its archive. Raises ArtifactError."""
    manifest = read_manifest(folder)
    if manifest.format != "torchscript":
        raise ArtifactError(f"{title(folder)} is {manifest.format}: take the version it was converted from")
    return manifest, read_model(folder, manifest)


def _curves(folder: Path, version: int) -> bytes:
    """The picture of how the weights were trained. Raises ArtifactError."""
    curves = read_further_files(folder).get("report/curves.png")
    if curves is None:
        raise ArtifactError(f"digit/{version} has no report/curves.png")
    return curves
