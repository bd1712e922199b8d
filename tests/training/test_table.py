"""Tables: what a CSV says, what is fitted to it, and that it is no worse than what everyone uses."""

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import datasets
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from service.artifacts.interface import Column, Output
from service.artifacts.store import ArtifactStore
from service.artifacts.version_folder import read_manifest
from service.engine.loading import load
from tests.conftest import CPU, QUIET
from training.commands import cli
from training.data import DataUnavailable
from training.publishing.activation import Publication
from training.tabular.table_file import Table, read_table
from training.tabular.table_net import Features, TableNet
from training.tabular.table_recipe import fitted, sha256_of, split_rows, train_table, with_ranges
from training.tabular.table_target import Target, target_of

pytestmark = pytest.mark.usefixtures("one_thread")

LETTERS = """size;colour;id;always;grade
1,5;red;a1;x;yes
2;blue;a2;x;no
NA;red;a3;x;yes
4;;a4;x;no
5;blue;a5;x;
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_are_found_in_their_values(tmp_path: Path) -> None:
    many = LETTERS + "".join(f"{i};red;b{i};x;yes\n" for i in range(30))
    told: list[str] = []
    table = read_table(written(tmp_path, many), "grade", told.append)
    assert table.columns == (
        Column(name="size", optional=True),
        Column(name="colour", dtype="category", categories=("blue", "red"), optional=True),
    )
    np.testing.assert_array_equal(table.values[:4], [[1.5, 1], [2, 0], [np.nan, 1], [4, np.nan]])
    assert list(table.target[:4]) == ["yes", "no", "yes", "no"]
    assert [line.split(" is left out")[0].split(" are left")[0] for line in told] == [
        "the column id",
        "the column always",
        "1 rows without grade",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("a,y\n1\n", "line 2: 1 cells for 2 columns"),
        ("a,a\n1,2\n", "'a' is there twice"),
        ("a,y\n1,0\n1e60,1\n", "line 3, column a: '1e60' is more than a float32 can hold"),
        ("a,b\n1,2\n", "has no column 'y'"),
        ('a,y\n"1,2\n', "not a CSV"),
        ("a,y\n1,0\n1,1\n", "no column that could say anything of 'y'"),
        ("x" * 1_000_001, "line 1 is longer than"),
        ("x" * 200_000, "field larger than"),
        (
            "a,y\n" + "".join(f"{i},0\n" for i in range(40)) + "unknown,1\n",
            "line 42, column a: 'unknown' is no number",
        ),
    ],
)
def test_what_is_no_table_is_told_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DataUnavailable, match=problem):
        read_table(written(tmp_path, text), "y", lambda _: None)


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ('"a, b, c";y\n1;0\n2;1\n', ("a, b, c",)),
        ('"a; b; c",y\n1,0\n2,1\n', ("a; b; c",)),
        ("\nx\ty\r\n1\t0\r\n2\t1\r\n", ("x",)),
        (",x,y\n0,1,0\n1,2,1\n", ("x",)),  # row numbers, as data frames are written with
        ("x,y,\n1,0,\n2,1,\n", ("x",)),
        ("w,x,y\n5,1,\n6,2,\n,1,0\n,2,1\n", ("x",)),  # w is there only where nothing is to be learnt
        (f"w,x,y\n{'a' * 201},1,0\nb,2,1\n", ("x",)),
    ],
)
def test_a_table_is_read_however_it_was_written(tmp_path: Path, text: str, header: tuple[str, ...]) -> None:
    table = read_table(written(tmp_path, text), "y", lambda _: None)
    assert tuple(column.name for column in table.columns) == header
    np.testing.assert_array_equal(table.values, [[1], [2]])
    assert list(table.target) == ["0", "1"]


def test_what_can_be_read_but_once_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(DataUnavailable, match="more than once"):
        read_table(path, "y", lambda _: None)


@pytest.mark.parametrize("values", [["1e300", "2.5"] * 10, ["a" * 201, "b"] * 10, ["a\nb", "b"] * 10])
def test_a_target_that_cannot_be_answered_is_refused(values: list[str]) -> None:
    table = Table((Column(name="x"),), np.zeros((20, 1), np.float32), values, values[0] == "1e300")
    with pytest.raises(DataUnavailable, match="the column y"):
        target_of(table, "y", "auto", None, 0.5, "")


@pytest.mark.parametrize(
    ("values", "said", "option"),
    [
        (["a", "b", "c"], {"positive": "a"}, "--positive"),
        (["a", "b", "c"], {"threshold": 0.3}, "--threshold"),
        (["0", "1", "1"], {"units": "cm"}, "--units"),
        (["0.5", "1", "2"], {"threshold": 0.3}, "--threshold"),
    ],
)
def test_what_is_said_of_another_task_is_refused(
    values: list[str], said: dict[str, Any], option: str
) -> None:
    table = Table((Column(name="x"),), np.zeros((30, 1), np.float32), values * 10, values[1] == "1")
    with pytest.raises(DataUnavailable, match=option):
        target_of(table, "y", "auto", **{"positive": None, "threshold": 0.5, "units": "", **said})


@pytest.mark.parametrize(
    ("header", "field"),
    [("x,probability", "probability"), ("probability,y", "probability"), ("x,model", "model")],
)
def test_a_name_that_an_answer_has_already_is_refused(tmp_path: Path, header: str, field: str) -> None:
    path = written(tmp_path, header + "\n" + "".join(f"{i % 7},{int(i % 7 > 3)}\n" for i in range(40)))
    target, out = header.split(",")[1], tmp_path / "artifacts"
    result = CliRunner().invoke(
        cli, ["table", "--csv", str(path), "--target", target, "--name", "clash", "--out", str(out)]
    )
    assert result.exit_code == 2, result.output
    assert f"would have {field} twice: rename" in result.output
    assert not ArtifactStore(out).versions("clash")


@pytest.mark.parametrize("output", ["binary", "classes", "numbers"])
def test_answers_are_finite_whatever_is_asked(output: str) -> None:
    """A sum of infinities would fail a batch, and all others who are in it."""
    rows = np.array([[0, 1], [1, 0], [2, 1e-3], [3, 7]], np.float32)
    features = Features((Column(name="a"), Column(name="b")), rows)
    weight = torch.tensor([[3.0, -2.0, 5.0], [-4.0, 6.0, -7.0]], dtype=torch.float64)
    outputs = 3 if output == "classes" else 1
    net = TableNet(features, weight[:, :outputs], torch.zeros(outputs), output)
    largest = torch.finfo(torch.float32).max
    corners = torch.tensor([[x, y] for x in (-largest, 0, largest) for y in (-largest, 0, largest)])
    assert net(corners).isfinite().all()
    assert not (features(torch.from_numpy(rows)).abs() > 10).any()


def test_a_name_that_no_file_can_have_is_explained(tmp_path: Path) -> None:
    long = str(tmp_path / ("x" * 300))
    result = CliRunner().invoke(
        cli, ["table", "--csv", long, "--target", "y", "--out", str(tmp_path / "out")]
    )
    assert (result.exit_code, "cannot be read: File name too long" in result.output) == (2, True)


def test_a_file_of_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes("größe,y\n1,0\n2,1\n".encode("latin-1"))
    with pytest.raises(DataUnavailable, match=r"UTF-8|cannot be sent"):
        read_table(path, "y", lambda _: None)


@pytest.mark.parametrize(
    ("texts", "output"),
    [
        (["0", "1"] * 10, Output(kind="binary", labels=("y",), threshold=0.5)),
        (["no", "Yes"] * 10, Output(kind="binary", labels=("y",), threshold=0.5)),
        (["b", "a"] * 10, Output(kind="classes", labels=("a", "b"))),
        (["10", "9", "2"] * 10, Output(kind="classes", labels=("2", "9", "10"))),
        ([f"{i / 7:.3f}" for i in range(30)], Output(kind="numbers", labels=("y",))),
        ([str(i) for i in range(30)], Output(kind="numbers", labels=("y",))),
        (["1.0", "0.0"] * 10, Output(kind="binary", labels=("y",), threshold=0.5)),
        (["1.0", "2.0", "10.0"] * 10, Output(kind="classes", labels=("1.0", "2.0", "10.0"))),
    ],
)
def test_the_target_says_what_it_is(texts: list[str], output: Output) -> None:
    numeric = texts[0].replace(".", "").isdigit()
    table = Table((Column(name="x"),), np.zeros((len(texts), 1), np.float32), texts, numeric)
    target = target_of(table, "y", "auto", None, 0.5, "")
    assert target.output == output


def test_what_is_missing_has_its_rule_in_the_archive(tmp_path: Path) -> None:
    """A number is the mean, a category none; each is told apart from what is there."""
    rows = "".join(f"{i % 7},{'red' if i % 3 else 'blue'},{int(i % 7 > 3)}\n" for i in range(60))
    gaps = ",red,1\n,red,1\n3,,0\n2,,0\n"
    path = written(tmp_path, "size,colour,y\n" + rows + gaps)
    store = ArtifactStore(tmp_path / "artifacts")
    train_table("gaps", Publication(store), read_table(path, "y", lambda _: None), "y", QUIET)
    model = load(store.folder("gaps", 1), CPU)
    whole = model.predict(torch.tensor([[6.0, 1.0], [0.0, 1.0]]))
    assert whole[0].item() > 0.9 > 0.1 > whole[1].item()
    without = model.predict(torch.tensor([[float("nan"), 1.0], [6.0, float("nan")]]))
    assert without.isfinite().all()


def test_what_is_tested_on_is_the_same_for_all_seeds_and_beside_the_ranges(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i % 2},{'' if i else 5}\n" for i in range(40))
    table = read_table(written(tmp_path, "x,y,z\n" + rows), "y", lambda _: None)
    split = split_rows(target_of(table, "y", "auto", None, 0.5, ""))
    ranges = with_ranges(table, split.train[split.train > 0])
    assert ranges[1] == table.columns[1] == Column(name="z", optional=True)
    fitted_to = table.values[split.train.numpy(), 0]
    assert (ranges[0].training_minimum, ranges[0].training_maximum) == (1, fitted_to.max())
    store = ArtifactStore(tmp_path / "artifacts")
    for seed in (0, 1):
        train_table("seeds", Publication(store), table, "y", QUIET, seed=seed)
    first, second = (read_manifest(store.folder("seeds", number)) for number in (1, 2))
    assert first.input == second.input
    assert first.record.data_sha256 == second.record.data_sha256


def test_the_same_numbers_that_stand_for_something_else_are_other_data(tmp_path: Path) -> None:
    def digest(header: str, category: str, label: str) -> str:
        rows = [
            f"{i % 7},{i % 5},{category if i % 2 else 'z'},{label if i % 7 > 3 else 'a'}" for i in range(40)
        ]
        table = read_table(written(tmp_path, "\n".join([header, *rows])), "y", str)
        return sha256_of(table, target_of(table, "y", "classes", None, 0.5, ""))

    first = digest("a,b,kind,y", "old", "yes")
    assert digest("a,b,kind,y", "old", "yes") == first
    others = [("b,a,kind,y", "old", "yes"), ("a,b,kind,y", "new", "yes"), ("a,b,kind,y", "old", "sure")]
    assert first not in {digest(*other) for other in others}


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "diabetes"])
def test_it_is_no_worse_than_scikit_learn_s(name: str) -> None:
    """Five folds, the same for both."""
    data = getattr(datasets, f"load_{name}")()
    rows, values = data.data.astype(np.float32), data.target
    numbers = name == "diabetes"
    folds = KFold if numbers else StratifiedKFold
    ours, theirs = [], []
    for train, judged in folds(5, shuffle=True, random_state=0).split(rows, values):
        table = Table(tuple(Column(name=f"c{i}") for i in range(rows.shape[1])), rows, [], numbers)
        generator = torch.Generator().manual_seed(0)
        if numbers:
            target = Target(torch.tensor(values).unsqueeze(1), Output(kind="numbers", labels=("y",)))
        else:
            labels = tuple(map(str, sorted(set(values))))
            target = Target(torch.tensor(values), Output(kind="classes", labels=labels))
        net, _ = fitted(table, target, torch.from_numpy(train), generator)
        answers = net(torch.from_numpy(rows[judged])).double().numpy()
        theirs_now = make_pipeline(StandardScaler(), Ridge() if numbers else LogisticRegression())
        theirs.append(theirs_now.fit(rows[train], values[train]).score(rows[judged], values[judged]))
        if numbers:
            spread = ((values[judged] - values[judged].mean()) ** 2).sum()
            ours.append(1 - ((answers[:, 0] - values[judged]) ** 2).sum() / spread)
        else:
            ours.append((answers.argmax(1) == values[judged]).mean())
    assert np.mean(ours) >= np.mean(theirs) - 1e-4


def test_many_columns_and_classes_are_one_command(tmp_path: Path) -> None:
    """The lecture's exercise, smaller: nine classes by 93 columns."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(1_500, 93)).round(3)
    classes = (rows @ random.normal(size=(93, 9)) * 3).argmax(1)
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"feat_{i}" for i in range(93)), "target"])
        writer.writerows([*row, f"Class_{k}"] for row, k in zip(rows.tolist(), classes, strict=True))
    out = tmp_path / "artifacts"
    command = ["table", "--csv", str(path), "--target", "target", "--name", "nine", "--out", str(out)]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    manifest = read_manifest(out / "nine" / "1")
    assert len(manifest.output.labels) == 9
    assert manifest.metric("accuracy", "test").value > 0.7
    assert (out / "nine" / "current").read_text() == "1\n"


@pytest.mark.parametrize("yes_or_no", [True, False])
def test_an_accuracy_stands_beside_that_of_always_saying_the_most_frequent(
    yes_or_no: bool, tmp_path: Path
) -> None:
    """Of a hundred rows 90 are of one class, and nothing tells which: 0.9 is no merit."""
    names = ("0", "1") if yes_or_no else ("rare", "usual")
    rows = "".join(f"{row % 7},{names[row % 10 > 0]}\n" for row in range(100))
    path = tmp_path / "rows.csv"
    path.write_text(f"x,y\n{rows}")
    out = tmp_path / "artifacts"
    command = ["table", "--csv", str(path), "--target", "y", "--name", "rare", "--out", str(out)]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    assert "majority-class-accuracy (test, n = 20)" in result.output
    manifest, card = (
        read_manifest(out / "rare" / "1"),
        (out / "rare" / "1" / "report/report.md").read_text(),
    )
    for split in ("train", "test"):
        assert manifest.metric("majority-class-accuracy", split).value == pytest.approx(0.9)
    assert "| majority-class-accuracy | 0.9000 | test, 20 rows |" in card


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["--csv", "nowhere.csv", "--target", "y"], 2, "nowhere.csv"),
        (["--csv", "nowhere.csv", "--target", "y", "--name", "No Name"], 2, "--name"),
        (["--csv", "nowhere.csv", "--target", "y", "--task", "guess"], 2, "guess"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, arguments: list[str], code: int, problem: str) -> None:
    result = CliRunner().invoke(cli, ["table", *arguments, "--out", str(tmp_path)])
    assert result.exit_code == code, result.output
    assert problem in result.output
