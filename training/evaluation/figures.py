"""The pictures of a report. Each says in its title which model it is of: `of`, such as `digit by cnn`."""

import math
from collections.abc import Sequence
from io import BytesIO

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image
from torch import Tensor, nn

from training.data import Rows
from training.evaluation.calibration import calibration_bins, calibration_error
from training.evaluation.evaluate import Evaluation
from training.fitting.fit import History

WORST_MISTAKES = 40
MISTAKES_A_ROW = 8
MOST_WRITTEN = 30  # classes, of whose confusion matrix the numbers can be read
LONG_TITLE = 16  # characters, past which a picture's title is set on two lines
FEW_EPOCHS = 20  # whose points are marked
SETTLING = 0.1  # of the epochs: what comes before would hide what follows
DECADE = 10
LECTURE_HOURS = 10.0


def curves_figure(history: History, of: str) -> Figure:
    """Loss and validation accuracy by epoch, the selected epoch marked."""
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    figure.suptitle(f"{of}: training")
    left, right = figure.subplots(1, 2)
    epochs = range(1, len(history.train_loss) + 1)
    marker = "." if len(epochs) <= FEW_EPOCHS else ""
    left.plot(epochs, history.train_loss, marker=marker, label="training")
    left.plot(epochs, history.validation_loss, marker=marker, label="validation")
    losses = history.train_loss + history.validation_loss
    steep = max(losses) > DECADE * min(losses) > 0
    left.set(ylabel="Cross-entropy (nats)", yscale="log" if steep else "linear", title="Loss")
    accuracy = [100 * a for a in history.validation_accuracy]
    right.plot(epochs, accuracy, marker=marker, color="C1")
    right.set(ylabel="Accuracy (%)", title="Validation accuracy")
    _from_where_it_settles(right, accuracy)
    for axes in (left, right):
        axes.axvline(history.selected_epoch, color="grey", linestyle=":", label="selected epoch")
        _epochs(axes, len(epochs))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _from_where_it_settles(axes: Axes, values: Sequence[float]) -> None:
    """The axis begins at the lowest value after the first tenth; what lies below is said."""
    low, high = min(values[int(SETTLING * len(values)) :]), max(values)
    room = 0.08 * (high - low) or 1.0
    axes.set_ylim(low - room, high + room)
    if below := sum(value < low - room for value in values):
        which = "epoch 1 lies" if below == 1 else f"{below} epochs lie"
        note = f"{which} below, from {min(values):.1f} %"
        axes.text(0.97, 0.03, note, transform=axes.transAxes, ha="right", color="dimgrey", fontsize=9)


def _epochs(axes: Axes, count: int) -> None:
    axes.set(xlabel="Epoch", xlim=(0.5, count + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def confusion_figure(evaluation: Evaluation, of: str) -> Figure:
    """The confusion matrix. Only mistakes are shaded, so that they can be seen."""
    counts = evaluation.confusion()
    mistakes = counts - counts.diag().diag()
    names, n = evaluation.names, len(evaluation.names)
    side = max(7.0, n / 2) if n <= MOST_WRITTEN else 10
    figure = Figure(figsize=(side, side - 1), layout="constrained")
    axes = figure.subplots()
    shading = axes.imshow(mistakes.numpy(), cmap="Reds", vmin=0)
    for true in range(n if n <= MOST_WRITTEN else 0):
        for predicted in range(n):
            count = int(counts[true, predicted])
            dark = true != predicted and count > mistakes.max() / 2
            color = "white" if dark else "black"
            axes.text(predicted, true, str(count or ""), ha="center", va="center", color=color)
    axes.set(xlabel="Predicted", ylabel="True")
    if n <= MOST_WRITTEN:
        long = any(len(name) > 2 for name in names)
        axes.set_xticks(range(n), names, rotation=90 if long else 0)
        axes.set_yticks(range(n), names)
    axes.set_title(f"{of}: {len(evaluation.labels):,} test images, {evaluation.accuracy:.2%} right")
    figure.colorbar(shading, label="Mistakes")
    return figure


def mistakes_figure(evaluation: Evaluation, images_u8: Tensor, of: str) -> Figure:
    """The mistakes that the net was surest of, surest first: true → predicted, confidence."""
    confidence = evaluation.probabilities.amax(1)
    wrong = (evaluation.predicted != evaluation.labels).nonzero().squeeze(1)
    worst = wrong[confidence[wrong].argsort(descending=True)][:WORST_MISTAKES]
    rows = max(1, math.ceil(len(worst) / MISTAKES_A_ROW))
    figure = Figure(figsize=(10, 0.4 + 1.45 * rows), layout="constrained")
    which = f"the {len(worst)} surest of" if len(worst) < len(wrong) else "all" if len(wrong) else ""
    which = f"{which} {len(wrong) or 'no'} mistakes".strip()
    figure.suptitle(f"{of}: {which} on test images, true → predicted, confidence")
    for axes in figure.subplots(rows, MISTAKES_A_ROW).flat:
        axes.axis("off")
    titles = []
    for axes, index in zip(figure.axes, worst.tolist(), strict=False):
        true, predicted = (
            evaluation.names[int(c[index])] for c in (evaluation.labels, evaluation.predicted)
        )
        axes.imshow(picture_of(images_u8[index]), cmap="gray", vmin=0, vmax=255)
        titles.append((axes, true, f"→ {predicted}, {confidence[index]:.0%}"))
    long = any(len(true) + len(rest) >= LONG_TITLE for _, true, rest in titles)
    for axes, true, rest in titles:
        title = (f"{true}\n{rest}" if long else f"{true} {rest}").replace("$", r"\$")  # no formulae
        axes.set_title(title, fontsize=7 if long else 9)
    return figure


def reliability_figure(evaluation: Evaluation, of: str) -> Figure:
    """Accuracy over confidence, in groups of equal size, and the confidences themselves."""
    bins = calibration_bins(evaluation.probabilities, evaluation.labels)
    error = calibration_error(evaluation.probabilities, evaluation.labels)
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    figure.suptitle(f"{of}: confidence on {len(evaluation.labels):,} test images")
    left, right = figure.subplots(1, 2)
    groups = [(float(c.mean()), float(r.mean())) for c, r in bins]
    low = min(min(group) for group in groups)
    low = min(low, 0.99) - 0.05 * (1 - min(low, 0.99))
    left.plot([low, 1], [low, 1], color="grey", linestyle=":", label="perfect")
    left.plot(*zip(*groups, strict=True), marker="o", label=f"{len(groups)} equal groups")
    left.set(xlabel="Mean confidence", ylabel="Accuracy", title=f"Expected calibration error {error:.2%}")
    confidence = evaluation.probabilities.amax(1)
    wrong = evaluation.predicted != evaluation.labels
    span = (min(float(confidence.min()), 0.99), 1.0)
    right.hist(confidence.numpy(), bins=50, range=span, log=True, label="all")
    right.hist(confidence[wrong].numpy(), bins=50, range=span, log=True, color="C3", label="mistakes")
    right.set(xlabel="Confidence", ylabel="Images", title="How sure", xlim=span)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left")
    return figure


def loss_figure(history: History, of: str) -> Figure:
    """The training loss of every epoch."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    epochs = len(history.train_loss)
    axes.plot(range(1, epochs + 1), history.train_loss)
    axes.set(ylabel="Binary cross-entropy, summed (nats)", title=f"{of}: training loss")
    _epochs(axes, epochs)
    return figure


def pass_figure(net: nn.Module, rows: Rows, of: str) -> Figure:
    """The lecture's picture: 200 points, 0 to 10 hours or past the longest, and the red line at 0.5."""
    first, last = float(rows.inputs.min()), float(rows.inputs.max())
    end = max(LECTURE_HOURS, 1.25 * last)
    hours = torch.linspace(0, end, 200).unsqueeze(1)
    with torch.inference_mode():
        probability = net(hours)
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    axes.axvspan(first, last, color="C0", alpha=0.12, label=f"trained on, {first:g} to {last:g} hours")
    axes.plot(hours, probability, label="model")
    axes.axhline(0.5, color="r", label="0.5")
    axes.scatter(rows.inputs, rows.targets, color="black", zorder=3, label="training records")
    axes.set(xlabel="Hours", ylabel="Probability of Pass", xlim=(0, end), title=f"{of}: the fitted curve")
    axes.grid()
    figure.legend(loc="outside lower center", ncols=4, fontsize=9)
    return figure


def classifier_figures(evaluation: Evaluation, images_u8: Tensor, of: str) -> dict[str, bytes]:
    """The files of a report that every classifier of pictures has. `images_u8`: what it was asked."""
    return {
        "report/confusion.png": png(confusion_figure(evaluation, of)),
        "report/mistakes.png": png(mistakes_figure(evaluation, images_u8, of)),
        "report/reliability.png": png(reliability_figure(evaluation, of)),
    }


def samples(images_u8: Tensor) -> dict[str, bytes]:
    """Files of single pictures, `u8 [N, channels, height, width]`, as a client would send them."""
    return {f"samples/{place}.png": png(picture_of(image)) for place, image in enumerate(images_u8)}


def picture_of(image_u8: Tensor) -> Image.Image:
    """`u8 [1 or 3, height, width]` → L or RGB."""
    levels = image_u8.permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(levels[:, :, 0] if levels.shape[2] == 1 else levels)


def png(picture: Figure | Image.Image) -> bytes:
    buffer = BytesIO()
    if isinstance(picture, Figure):
        picture.savefig(buffer, format="png", dpi=100)
    else:
        picture.save(buffer, "PNG")
    return buffer.getvalue()
