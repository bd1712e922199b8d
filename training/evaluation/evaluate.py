"""Metrics on the test split, taken once, and the pictures of a report."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from training.data import Rows
from training.evaluation.calibration import calibration_bins, calibration_error
from training.fitting.fit import History, batched

WORST_MISTAKES = 40
MOST_WRITTEN = 30  # classes, of whose confusion matrix the numbers can be read
LONG_TITLE = 16  # characters, beside which others have no room
DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Evaluation:
    """Of a classifier on one split: `probabilities f32 [N, C]` and `labels i64 [N]`, on the CPU.

    `score f32 [N]`: of those that give one, how little each image looks like a digit.
    """

    probabilities: Tensor
    labels: Tensor
    score: Tensor | None = None
    names: Sequence[str] = DIGITS

    @property
    def predicted(self) -> Tensor:
        return self.probabilities.argmax(1)

    @property
    def accuracy(self) -> float:
        return (self.predicted == self.labels).double().mean().item()

    @property
    def negative_log_likelihood(self) -> float:
        chosen = self.probabilities.gather(1, self.labels[:, None])
        return -chosen.clamp_min(1e-12).log().mean().item()

    def confusion(self) -> Tensor:
        """`i64 [C, C]`: rows are true classes, columns predicted ones."""
        n = len(self.names)
        return torch.bincount(self.labels * n + self.predicted, minlength=n * n).reshape(n, n)


def evaluate(net: nn.Module, rows: Rows, names: Sequence[str] = DIGITS) -> Evaluation:
    """Ask the net, as it will be published, for every row."""
    answers, n = batched(net, rows.inputs).cpu(), len(names)
    score = answers[:, n] if answers.shape[1] > n else None
    return Evaluation(answers[:, :n], rows.targets.cpu(), score, names)


def curves_figure(history: History) -> Figure:
    """Loss and validation accuracy by epoch, the selected epoch marked."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = range(1, len(history.train_loss) + 1)
    left.plot(epochs, history.train_loss, label="training")
    left.plot(epochs, history.validation_loss, label="validation")
    left.set(xlabel="Epoch", ylabel="Cross-entropy (nats)", yscale="log", title="Loss")
    right.plot(epochs, [100 * a for a in history.validation_accuracy], color="C1")
    right.set(xlabel="Epoch", ylabel="Accuracy (%)", title="Validation accuracy")
    for axes in (left, right):
        axes.axvline(history.selected_epoch, color="grey", linestyle=":", label="selected")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def confusion_figure(evaluation: Evaluation) -> Figure:
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
    axes.set_title(f"{len(evaluation.labels):,} images, {evaluation.accuracy:.2%} right")
    figure.colorbar(shading, label="Mistakes")
    return figure


def mistakes_figure(evaluation: Evaluation, images_u8: Tensor) -> Figure:
    """The mistakes that the net was surest of, surest first: true → predicted, confidence."""
    confidence = evaluation.probabilities.amax(1)
    wrong = (evaluation.predicted != evaluation.labels).nonzero().squeeze(1)
    worst = wrong[confidence[wrong].argsort(descending=True)][:WORST_MISTAKES]
    figure = Figure(figsize=(10, 7), layout="constrained")
    figure.suptitle(f"The {len(worst)} surest of {len(wrong)} mistakes: true → predicted, confidence")
    for axes in figure.subplots(5, 8).flat:
        axes.axis("off")
    for axes, index in zip(figure.axes, worst.tolist(), strict=False):
        true, predicted = (
            evaluation.names[int(c[index])] for c in (evaluation.labels, evaluation.predicted)
        )
        image = images_u8[index].permute(1, 2, 0).cpu()
        axes.imshow(
            (image.squeeze(2) if image.shape[2] == 1 else image).numpy(), cmap="gray", vmin=0, vmax=255
        )
        title = f"{true} → {predicted}, {confidence[index]:.0%}".replace("$", r"\$")  # no formulae
        axes.set_title(title, fontsize=9 if len(title) < LONG_TITLE else 6)
    return figure


def reliability_figure(evaluation: Evaluation) -> Figure:
    """Accuracy over confidence, in groups of equal size, and the confidences themselves."""
    bins = calibration_bins(evaluation.probabilities, evaluation.labels)
    error = calibration_error(evaluation.probabilities, evaluation.labels)
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0.5, 1], [0.5, 1], color="grey", linestyle=":", label="perfect")
    left.plot(
        *zip(*[(c.mean(), r.mean()) for c, r in bins], strict=True), marker="o", label="15 equal groups"
    )
    left.set(xlabel="Mean confidence", ylabel="Accuracy", title=f"Expected calibration error {error:.2%}")
    left.legend()
    confidence, least = evaluation.probabilities.amax(1), 1 / len(evaluation.names)
    right.hist(confidence.numpy(), bins=50, range=(least, 1), log=True)
    right.set(xlabel="Confidence", ylabel="Images", title="How sure")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return figure


def loss_figure(history: History) -> Figure:
    """The training loss of every epoch."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(1, len(history.train_loss) + 1), history.train_loss)
    axes.set(xlabel="Epoch", ylabel="Binary cross-entropy, summed (nats)", title="Training loss")
    axes.grid(alpha=0.3)
    return figure


def pass_figure(net: nn.Module, rows: Rows) -> Figure:
    """The lecture's picture: 200 points from 0 to 10 hours, and the red line at 0.5."""
    hours = torch.linspace(0, 10, 200).unsqueeze(1)
    with torch.inference_mode():
        probability = net(hours)
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot(hours, probability, label="model")
    axes.plot([0, 10], [0.5, 0.5], c="r", label="0.5")
    axes.scatter(rows.inputs, rows.targets, color="black", zorder=3, label="training records")
    axes.set(xlabel="Hours", ylabel="Probability of Pass", xlim=(0, 10))
    axes.grid()
    axes.legend()
    return figure


def png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()
