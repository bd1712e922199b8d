"""The model card of a digit model, in the form of Mitchell et al. (2019), Model Cards."""

from collections.abc import Sequence

from service.artifacts.manifest import Metric, TrainingRecord
from training.digits.detector import FALSE_ALARMS
from training.digits.held_out.non_digits import BARS
from training.digits.held_out.sources import SOURCES
from training.digits.robustness import Robustness


def model_card(record: TrainingRecord, metrics: Sequence[Metric], found: Robustness | None = None) -> str:
    """Markdown; its pictures lie beside it. `found`: what an evaluation found, where there was one."""
    settings = "\n".join(f"| {name} | {value} |" for name, value in record.hyperparameters.items())
    figures = "\n".join(f"| {m.name} | {m.value:.4f} | {m.split}, {m.n:,} |" for m in metrics)
    return f"""# digit: handwritten digits, recipe `{record.recipe}`

## Model details

Images of 28×28 in MNIST's form → probabilities of the digits 0 to 9. Trained with seed {record.seed} on
{record.device} in {record.seconds:,.0f} s with torch {record.torch_version}, at commit
`{record.git_commit}`.

| hyper-parameter | value |
| --- | --- |
{settings}

## Intended use

Single handwritten digits: scans, drawings, photographs, of either polarity and any size, prepared by
the service. Not for numbers of several digits, printed forms as a whole, letters, or decisions in which
a mistake harms somebody and nobody checks.

## Factors

How the digit came to be a picture: size, place, stroke, rotation, ground, light, colour, noise,
compression. MNIST's writers were employees and high-school students in the United States: other ways to
write a 1, a 4, a 7 or a 9 are rarer in it than in the world. Where the extension is `with_other_styles`,
some of its digits were trained on once more, redrawn in such ways.

## Metrics

Accuracy; negative log-likelihood; expected calibration error over 15 bins of equal mass (Guo et al.
2017); share of pictures that are called no digit at a threshold of {FALSE_ALARMS:.1%} false alarms on
validation images and on these in other styles; area under the ROC curve.

## Training and evaluation data

MNIST (LeCun, Cortes, Burges): 55,000 images to train on, 5,000 to choose the epoch, the temperature and
the threshold with, 10,000 to test on. Digest of the training data: `{record.data_sha256}`. Where
`negatives` stands above, what is no digit was learned from so many pictures a digit, drawn by a program
with other fonts, signs and generators than those that it is evaluated on. Not trained on: scikit-learn's
digits (UCI Optical Recognition of Handwritten Digits, 43 writers).

## Quantitative analyses

| figure | value | on |
| --- | --- | --- |
{figures}

![Loss and accuracy](curves.png)
![Confusion matrix](confusion.png)
![The surest mistakes](mistakes.png)
![Confidence and accuracy](reliability.png)

{_robustness(found) if found else ""}## Ethical considerations

Handwriting is personal data. The service keeps no picture and logs none.

## Caveats and recommendations

The sheets of the robustness matrix are drawn by a program, from MNIST's own test digits: they show what
breaks, and no more. Whoever relies on the model should test it on pictures of their own, and look at
`out_of_distribution` and `confidence` before believing `digit`. A slanted page, lines that are not
level, and several digits on one picture are not handled.
"""


def _robustness(found: Robustness) -> str:
    cells = "\n".join(
        f"| {factor} | {level} | {accuracy:.1%} |" for (factor, level), accuracy in found.cells.items()
    )
    others = "\n".join(f"| {way} | {accuracy:.1%} |" for way, accuracy in found.other_digits.items())
    sources = "\n".join(
        f"| {name} | {right:.1%} | {bars.right:.1%} | {flagged:.1%} | {bars.flagged:.1%} |"
        for name, (right, flagged) in found.sources.items()
        if (bars := SOURCES[name])
    )
    flagged = "\n".join(
        f"| {kind} | {share:.1%} | {f'{BARS[kind]:.0%}' if kind in BARS else ''} |"
        for kind, share in found.flagged.items()
    )
    return f"""### Robustness

{found.digits_per_cell:,} of MNIST's test digits a cell, each sent through the service's own reading of
uploads: {found.mean:.2%} right on average, {found.worst:.1%} in the worst cell. A cell differs from the
usual sheet in one thing alone. With everything at once, drawn at random (paper, pen, size, place, light,
blur, noise, compression), {found.anything:.1%} are right.

| factor | level | right |
| --- | --- | --- |
{cells}

![Mistakes of every cell](robustness.png)
![Examples, the mistakes first](examples.png)

### Digits of other origin

| scikit-learn's digits, {found.other_digits_n:,} of them | right |
| --- | --- |
{others}

{found.other_digits_flagged:.1%} of them, as they are, are called no digit.

### Digits as they come from elsewhere

Drawn by a program, {found.digits_per_source:,} of each, from MNIST's test digits and from hands, fonts and
displays that were never trained on: they stand in for real pictures, and show what breaks.

| source | right | bar | flagged though right | bar |
| --- | --- | --- | --- | --- |
{sources}

### What is no digit

| kind | called so | bar |
| --- | --- | --- |
{flagged}

{found.mean_flagged:.1%} on average; area under the ROC curve {found.auroc:.4f}.

"""
