"""Metrics on the test split, taken once, and the pictures of a report."""

from dataclasses import dataclass
from io import BytesIO

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from training.calibration import calibration_bins, calibration_error
from training.data import Rows
from training.fit import History, batched

WORST_MISTAKES = 40


@dataclass(frozen=True)
class Evaluation:
    """Of a classifier on one split: `probabilities f32 [N, 10]` and `labels i64 [N]`, on the CPU.

    `score f32 [N]`: of those that give one, how little each image looks like a digit.
    """

    probabilities: Tensor
    labels: Tensor
    score: Tensor | None = None

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
        """`i64 [10, 10]`: rows are true digits, columns predicted ones."""
        return torch.bincount(self.labels * 10 + self.predicted, minlength=100).reshape(10, 10)


def evaluate(net: nn.Module, rows: Rows) -> Evaluation:
    """Ask the net, as it will be published, for every row."""
    answers = batched(net, rows.inputs).cpu()
    score = answers[:, 10] if answers.shape[1] > 10 else None
    return Evaluation(answers[:, :10], rows.targets.cpu(), score)


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
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    shading = axes.imshow(mistakes, cmap="Reds", vmin=0)
    for true in range(10):
        for predicted in range(10):
            count = int(counts[true, predicted])
            dark = true != predicted and count > mistakes.max() / 2
            color = "white" if dark else "black"
            axes.text(predicted, true, str(count or ""), ha="center", va="center", color=color)
    axes.set(xticks=range(10), yticks=range(10), xlabel="Predicted", ylabel="True")
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
        true, predicted = int(evaluation.labels[index]), int(evaluation.predicted[index])
        axes.imshow(images_u8[index, 0].cpu(), cmap="gray", vmin=0, vmax=255)
        axes.set_title(f"{true} → {predicted}, {confidence[index]:.0%}", fontsize=9)
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
    right.hist(evaluation.probabilities.amax(1), bins=50, log=True)
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
