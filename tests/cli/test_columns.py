"""Columns of an input, of an answer and of the command beside each other: none takes another's place."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

from abacus_cli.bulk import Bulk
from abacus_cli.inputs import inputs_of
from abacus_cli.outputs import output_to
from deploy.ray.readers import Reader
from service.artifacts.interface import Column, Output, TableInput
from service.artifacts.manifest import ArtifactError
from service.artifacts.store import ArtifactStore
from service.settings import Settings
from tests.cli.asking import manifest_of, predict, rows_in
from tests.conftest import Served, png, served
from tests.endpoints.tiny_models import publish_iris, publish_table

LENGTHS = "sepal_length,sepal_width,petal_length,petal_width"
CHECK = torch.tensor([[1.0], [2.0]])


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Columns and labels that are called as the command calls its own; and a model of two versions."""
    root = tmp_path_factory.mktemp("artifacts")
    publish_iris(root)
    rows = TableInput(columns=(Column(name="row"),))
    publish_table(root, "odd", rows, Output(kind="numbers", labels=("error", "file")), CHECK)
    for label in ("old", "new"):
        rows = TableInput(columns=(Column(name="size"),))
        publish_table(root, "renamed", rows, Output(kind="numbers", labels=(label,)), CHECK)
    ArtifactStore(root).activate("renamed", 2)
    return root


@pytest.fixture(scope="module")
def service(published: Path) -> Iterator[Served]:
    with served("--artifacts", str(published), "--keep", "2") as service:
        yield service


def asked(service: Served, folder: Path, *words: str, given: str) -> list[dict[str, Any]]:
    result = predict(folder, *words, "--url", str(service.client.base_url), given=given)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_column_that_is_called_as_one_of_the_command_s_or_of_an_answer(ask: Any, tmp_path: Path) -> None:
    table = "row,hours,error,passed,probability,model,version,given_passed,who\n"
    table += "1,1,e,p,q,m,v,g,Ada\n1,4,e,p,q,m,v,g,Bob\n"
    result = ask("pass", given=table)
    assert (result.returncode, result.stderr) == (0, "2 answered, 0 failed, 0 skipped\n")
    beside = {
        "given_row": "1",
        "given_error": "e",
        "given_given_passed": "p",
        "given_probability": "q",
        "given_model": "m",
        "given_version": "v",
        "given_passed": "g",
    }
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["row"], row["hours"], row["passed"], row["who"]) for row in rows] == [
        (1, 1.0, False, "Ada"),
        (2, 4.0, True, "Bob"),
    ]
    assert all(row["model"] == "pass" and row["version"] == 1 and "error" not in row for row in rows)
    assert all(beside.items() <= row.items() for row in rows)
    ask("pass", given=table, out="o.csv")
    assert all(beside.items() <= row.items() for row in rows_in(tmp_path / "o.csv"))


def test_so_it_is_of_pictures_value_by_value(ask: Any, tmp_path: Path, digits: Any) -> None:
    (tmp_path / "a.png").write_bytes(png(digits.images_u8[0]))
    (tmp_path / "list.csv").write_text("file,probabilities_0,error,digit\na.png,p,e,d\nb.png,p,e,d\n")
    assert ask("digit", "list.csv", out="o.csv").returncode == 1
    answer, failure = rows_in(tmp_path / "o.csv")
    for row in (answer, failure):
        assert (row["given_probabilities_0"], row["given_error"], row["given_digit"]) == ("p", "e", "d")
    assert 0 <= float(answer["probabilities_0"]) <= 1
    assert (bool(answer["error"]), bool(failure["error"])) == (False, True)


def test_so_it_is_of_classes_whatever_their_labels_are(service: Served, tmp_path: Path) -> None:
    table = f"{LENGTHS},label,probabilities_setosa\n5.1,3.5,1.4,0.2,mine,p\n"
    (row,) = asked(service, tmp_path, "iris", given=table)
    assert (row["given_label"], row["given_probabilities_setosa"]) == ("mine", "p")
    assert row["label"] in row["probabilities"]


def test_a_model_may_call_its_own_as_the_command_does(service: Served, tmp_path: Path) -> None:
    (one, two) = asked(service, tmp_path, "odd", given="row\n3\n3\n")
    assert (one["row"], one["given_row"], one["answered_row"]) == (1, "3", 3.0)
    assert (two["row"], two["answered_error"]) == (2, one["answered_error"])
    assert isinstance(one["file"], float)
    assert "error" not in one


def test_a_version_that_answers_other_columns_replaces_none(service: Served, tmp_path: Path) -> None:
    table = "size,old\n1,mine\n"
    (row,) = asked(service, tmp_path, "renamed", given=table)
    assert (row["old"], isinstance(row["new"], float)) == ("mine", True)
    url = str(service.client.base_url)
    result = predict(tmp_path, "renamed", "--version", "1", "--url", url, given=table)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: version 1 answers 'old', as a column beside is called")


def test_actors_of_ray_call_them_the_same(published: Path, service: Served, tmp_path: Path) -> None:
    table, out = "row,more\n3,a\nmany,b\n", tmp_path / "answers.jsonl"
    (tmp_path / "table.csv").write_text(table)
    with pytest.raises(ArtifactError, match="at most 1000 are read"):
        Reader(Settings(artifacts=published, max_model_bytes=1000), "odd", 1).load()
    reader = Reader(Settings(artifacts=published), "odd", 1)
    inputs = inputs_of(manifest_of(published, "odd"), [str(tmp_path / "table.csv")])
    with pytest.raises(typer.Exit) as ended:
        Bulk("odd", inputs, output_to(out, inputs.key), lambda given: iter(reader.answer([*given]))).run(
            out
        )
    assert ended.value.exit_code == 1
    answer, failure = map(json.loads, out.read_text().splitlines())
    assert (answer["row"], answer["given_row"], answer["answered_row"]) == (1, "3", 3.0)
    assert (answer["model"], answer["version"], "error" in answer) == ("odd", 1, False)
    assert list(failure) == ["row", "given_row", "more", "error"]
    url = str(service.client.base_url)
    asked = predict(tmp_path, "odd", "table.csv", "--out", "asked.jsonl", "--url", url)
    assert asked.returncode == 1
    assert [*map(json.loads, (tmp_path / "asked.jsonl").read_text().splitlines())] == [answer, failure]


@pytest.mark.parametrize(("table", "said"), [("hours,a,a\n1,2,3\n", "- has two columns 'a'")])
def test_two_columns_of_one_name_are_refused(ask: Any, table: str, said: str) -> None:
    result = ask("pass", given=table)
    assert (result.returncode, result.stdout, result.stderr) == (2, "", f"Error: {said}\n")


def test_a_picture_s_row_has_no_more_fields_than_the_header(ask: Any, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("file,who\na.png,Ada,more\n")
    result = ask("digit", "list.csv")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "Error: list.csv, row 1 has more fields than the header has\n"
