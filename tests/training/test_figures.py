"""What the figures of a report show: where axes start, what is marked, and which model they are of."""

from itertools import pairwise

import pytest
import torch
from matplotlib.figure import Figure

from training.data import Rows, lecture_hours
from training.evaluation.evaluate import Evaluation
from training.evaluation.figures import (
    confusion_figure,
    curves_figure,
    loss_figure,
    mistakes_figure,
    pass_figure,
    png,
    reliability_figure,
)
from training.fitting.history import History
from training.pass_net import PassNet

OF = "digit by cnn"


def history(epochs: int) -> History:
    """The first epoch is far off, as it is where training begins at a high rate."""
    return History(
        selected_epoch=epochs,
        train_loss=[2.0 / epoch for epoch in range(1, epochs + 1)],
        validation_loss=[1.5 / epoch for epoch in range(1, epochs + 1)],
        validation_accuracy=[0.85, *(0.99 + 0.0001 * epoch for epoch in range(1, epochs))],
    )


def evaluation(names: tuple[str, ...], wrong: int) -> Evaluation:
    """Of 60 rows; the first `wrong` are mistaken, surely."""
    labels = torch.arange(60) % len(names)
    predicted = torch.where(torch.arange(60) < wrong, (labels + 1) % len(names), labels)
    probabilities = torch.full((60, len(names)), 0.02)
    probabilities[torch.arange(60), predicted] = 1 - 0.02 * (len(names) - 1)
    return Evaluation(probabilities, labels, names=names)


def titles(figure: Figure) -> str:
    return " ".join([figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)])


def legend_is_beside_the_axes(figure: Figure) -> bool:
    figure.draw_without_rendering()
    (legend,) = figure.legends
    return not any(legend.get_window_extent().overlaps(axes.get_window_extent()) for axes in figure.axes)


def test_accuracy_is_shown_from_where_it_settles_and_what_lies_below_is_said() -> None:
    figure = curves_figure(history(50), OF)
    loss, accuracy = figure.axes
    low, high = accuracy.get_ylim()
    assert 99.0 < low < 99.05
    assert high > 100 * 0.9949
    assert [text.get_text() for text in accuracy.texts] == ["2 epochs lie below, from 85.0 %"]
    assert loss.get_yscale() == "log"
    assert loss.get_xlim() == accuracy.get_xlim() == (0.5, 50.5)
    assert OF in titles(figure)
    assert legend_is_beside_the_axes(figure)


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_short_training_has_points_and_no_empty_scale(epochs: int) -> None:
    figure = curves_figure(history(epochs), OF)
    assert {line.get_marker() for line in figure.axes[0].lines[:2]} == {"."}
    assert figure.axes[0].get_yscale() == "linear"
    assert png(figure).startswith(b"\x89PNG")


def test_the_pass_curve_marks_what_it_was_trained_on() -> None:
    figure = pass_figure(PassNet(), lecture_hours(), "pass by logistic-regression")
    (axes,) = figure.axes
    (span,) = axes.patches
    assert (span.get_window_extent().x0, span.get_window_extent().x1) == tuple(
        axes.transData.transform([(1, 0), (3, 0)])[:, 0]
    )
    assert span.get_label() == "trained on, 1 to 3 hours"
    assert axes.get_xlim() == (0, 10)
    assert legend_is_beside_the_axes(figure)
    assert "pass by logistic-regression" in titles(figure)


def test_the_pass_curve_reaches_past_the_longest_record() -> None:
    rows = Rows(torch.tensor([[20.0], [80.0]]), torch.tensor([[0.0], [1.0]]))
    figure = pass_figure(PassNet(), rows, "pass")
    assert figure.axes[0].get_xlim() == (0, 100)


@pytest.mark.parametrize(("wrong", "rows"), [(0, 1), (9, 2), (60, 5)])
def test_there_are_as_many_rows_of_mistakes_as_are_needed(wrong: int, rows: int) -> None:
    images = torch.zeros(60, 1, 28, 28, dtype=torch.uint8)
    figure = mistakes_figure(evaluation(("cat", "dog", "automobile"), wrong), images, OF)
    assert len(figure.axes) == 8 * rows
    assert OF in figure.get_suptitle()
    which = {0: "no mistakes", 9: "all 9 mistakes", 60: "the 40 surest of 60 mistakes"}
    assert which[wrong] in figure.get_suptitle()


def test_titles_of_neighbouring_mistakes_do_not_overlap() -> None:
    images = torch.zeros(60, 1, 28, 28, dtype=torch.uint8)
    figure = mistakes_figure(evaluation(("automobile", "airplane", "dog"), 40), images, OF)
    figure.draw_without_rendering()
    boxes = [axes.title.get_window_extent() for axes in figure.axes[:8]]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


@pytest.mark.parametrize("wrong", [0, 12])
def test_confidence_is_shown_from_the_least_that_was_found(wrong: int) -> None:
    figure = reliability_figure(evaluation(("a", "b", "c"), wrong), OF)
    _, counts = figure.axes
    assert counts.get_xlim() == pytest.approx((0.96, 1))
    assert OF in titles(figure)
    assert png(figure).startswith(b"\x89PNG")


def test_the_other_figures_name_their_model_too() -> None:
    assert OF in titles(confusion_figure(evaluation(("a", "b"), 3), OF))
    assert OF in titles(loss_figure(history(5), OF))
