"""Whatever a program has in its hands is asked about, and answered by the class of its kind."""

import sys
from decimal import Decimal
from subprocess import run
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from pydantic import BaseModel

import abacus_client.errors
import service.errors
from abacus_client import (
    AbacusError,
    AsyncClient,
    BinaryPrediction,
    ClassPrediction,
    Client,
    DigitPrediction,
    DigitsPrediction,
    InputError,
    InvalidInput,
    Model,
    NumbersPrediction,
    PicturePrediction,
    PlacedDigit,
    Prediction,
    Problem,
    ServiceError,
    UnexpectedAnswer,
    UnknownModel,
    UnknownVersion,
    UnsupportedMediaType,
)
from tests.client.conftest import SEVEN
from tests.client.given import (
    FLOWER,
    PICTURES,
    ROWS,
    SEVERAL,
    WRONG_PICTURES,
    WRONG_ROWS,
    NAType,
    PolarsSeries,
)
from tests.client.schemas import flat, is_covered
from tests.conftest import Digits
from tests.endpoints.described import Document, answer_schema
from tests.pictures.numbers.drawn import ink_of, on_paper


@pytest.mark.parametrize("what", PICTURES)
def test_a_picture(asking: Client, what: str) -> None:
    picture = PICTURES[what]()
    answer = asking.predict("digit", picture, result=DigitPrediction)
    if hasattr(picture, "close"):
        picture.close()
    assert (answer.digit, answer.model, answer.version) == (7, "digit", asking.versions("digit")[-1])
    assert answer.confidence == max(answer.probabilities)


@pytest.mark.parametrize("what", WRONG_PICTURES)
def test_what_is_no_picture_is_not_sent(asking: Client, what: str) -> None:
    with pytest.raises(InputError):
        asking.predict("digit", WRONG_PICTURES[what])


def test_an_array_is_the_picture_that_it_shows(asking: Client) -> None:
    """Colour and place: three halves of it, one a channel, whichever axis they are on."""
    for place, colour in enumerate(("red", "green", "blue")):
        levels = np.zeros((40, 60, 3), np.uint8)
        levels[:, :, place] = 250
        for array in (levels, levels.transpose(2, 0, 1)):
            answer = asking.predict("colour", array, result=PicturePrediction, top=2)
            assert (answer.label, len(answer.top)) == (colour, 2)


@pytest.mark.parametrize("what", ROWS)
def test_a_row(asking: Client, what: str) -> None:
    answer = asking.predict("iris", ROWS[what], result=ClassPrediction)
    assert answer.model_dump() == asking.predict("iris", **FLOWER).model_dump()
    assert answer.probabilities[answer.label] == answer.confidence


@pytest.mark.parametrize("what", SEVERAL)
def test_rows(asking: Client, what: str) -> None:
    first, second = asking.predict("iris", SEVERAL[what], result=ClassPrediction)
    assert first.model_dump() == second.model_dump()
    assert first["probabilities"] == pytest.approx(
        asking.predict("iris", FLOWER)["probabilities"], abs=1e-6
    )


@pytest.mark.parametrize("what", WRONG_ROWS)
def test_what_is_no_row_is_not_sent(asking: Client, what: str) -> None:
    with pytest.raises(InputError):
        asking.predict("iris", WRONG_ROWS[what])


def test_numbers_of_less_precision(asking: Client) -> None:
    row = torch.tensor([5.0, 3.5, 1.5, 0.25], dtype=torch.bfloat16)
    exact = asking.predict("iris", row.double()).model_dump()
    assert asking.predict("iris", row).model_dump() == exact
    (answer,) = asking.predict("iris", list(row[None]))
    assert answer.model_dump() == exact


def test_columns_of_one_value_are_columns(asking: Client) -> None:
    columns = {name: PolarsSeries(value) for name, value in FLOWER.items()}
    (answer,) = asking.predict("iris", **columns)
    assert answer.model == "iris"


def test_columns_stand_alone(asking: Client) -> None:
    with pytest.raises(InputError):
        asking.predict("iris", FLOWER, sepal_length=5)
    with pytest.raises(InputError):
        asking.predict("digit", hours=5)


def test_every_kind_of_table(asking: Client) -> None:
    passed = asking.predict("pass", hours=4, result=BinaryPrediction)
    assert passed["passed"] is (passed["probability"] >= 0.5) is True
    assert passed["hours"] == 4
    flat = {"floor area (m²)": 80, "class": 1, "town": "Ulm", "rooms": float("nan")}
    prices = asking.predict("flat", flat, result=NumbersPrediction)
    assert isinstance(prices["price"], float)
    for missing in (None, Decimal("NaN"), NAType()):
        assert asking.predict("flat", flat | {"rooms": missing})["price"] == prices["price"]
    with pytest.raises(KeyError):
        prices["colour"]
    assert [answer["hours"] for answer in asking.predict("pass", hours=[1, 2.5])] == [1, 2.5]


def test_an_explanation(asking: Client) -> None:
    answer = asking.predict("digit", SEVEN, explain=True, result=DigitPrediction)
    assert answer.explanation
    assert answer.explanation.image.startswith("data:image/png;base64,")
    both = asking.predict("digit", [SEVEN, SEVEN], explain=True, result=DigitPrediction)
    assert all(each.explanation for each in both)


def test_every_digit(asking: Client, digits: Digits) -> None:
    """Of one picture or of several, each with its text; of no other model."""
    number = on_paper(ink_of(list(digits.images_u8[:3]), 6, np.random.default_rng(0)))
    answer = asking.predict("digit", number, each=True, result=DigitsPrediction)
    assert answer.text == "".join(str(one.digit) for one in answer.predictions)
    assert len(answer.text) == 3
    assert [one.line for one in answer.predictions] == [0, 0, 0]
    assert all(one.version == answer.version for one in answer.predictions)
    assert [one.box[0] for one in answer.predictions] == sorted(one.box[0] for one in answer.predictions)
    assert answer.confidence == min(one.confidence for one in answer.predictions)
    assert answer.out_of_distribution is False
    assert answer.text == "".join(map(str, digits.labels[:3]))
    several = asking.predict("digit", [number, b"no picture", SEVEN], each=True, return_errors=True)
    assert [type(one) for one in several] == [DigitsPrediction, UnsupportedMediaType, DigitsPrediction]
    with pytest.raises(InputError, match="colour is none"):
        asking.predict("colour", number, each=True)


def test_what_a_request_was_and_took(asking: Client) -> None:
    answer = asking.predict("pass", {"hours": 4}, request_id="mine-1")
    assert answer.request_id == "mine-1"
    assert set(answer.timings) == {"decode", "queue", "infer"}
    assert len(asking.predict("pass", {"hours": 4}).request_id) == 32
    assert answer.model_dump() == asking.predict("pass", hours=4).model_dump()


def test_models_and_their_versions(asking: Client) -> None:
    models = {model.name: model for model in asking.models()}
    assert set(models) == {"digit", "pass", "iris", "flat", "colour"}
    assert models["iris"] == asking.model("iris")
    live = models["digit"].version
    assert live
    assert asking.versions("digit") == [live]
    assert asking.predict("digit", SEVEN, version=live).version == live
    with pytest.raises(UnknownVersion):
        asking.predict("digit", SEVEN, version=live + 1)


def test_a_class_that_the_model_does_not_answer(asking: Client) -> None:
    with pytest.raises(UnexpectedAnswer, match="pass answers BinaryPrediction, not DigitPrediction"):
        asking.predict("pass", {"hours": 4}, result=DigitPrediction)


@pytest.mark.parametrize("name", ["cat", "../openapi.json", "a/b", "", "é"])
def test_a_model_that_is_not_there(asking: Client, name: str) -> None:
    with pytest.raises(AbacusError) as refused:
        asking.predict(name, {"hours": 4})
    assert isinstance(refused.value, ServiceError | UnexpectedAnswer)
    assert getattr(refused.value, "status", 404) == 404


def test_what_the_service_refuses(asking: Client) -> None:
    with pytest.raises(InvalidInput) as refused:
        asking.predict("pass", hours=-1)
    assert [error.field for error in refused.value.errors] == ["hours"]
    assert (refused.value.status, len(refused.value.request_id)) == (422, 32)


async def test_in_an_event_loop(asking_async: AsyncClient) -> None:
    answer = await asking_async.predict("digit", SEVEN, result=DigitPrediction)
    assert answer.digit == 7
    assert (await asking_async.predict("pass", hours=4))["passed"] is True
    assert len(await asking_async.predict("iris", [FLOWER, FLOWER])) == 2
    assert {model.name for model in await asking_async.models()} >= {"digit", "pass"}
    assert (await asking_async.versions("pass")) == [1]
    with pytest.raises(UnknownModel):
        await asking_async.predict("cat", SEVEN)
    for model, wrong in (("digit", WRONG_PICTURES), ("iris", WRONG_ROWS)):
        for value in wrong.values():
            with pytest.raises(InputError):
                await asking_async.predict(model, value)


def test_it_needs_neither_numpy_nor_pillow_nor_torch() -> None:
    program = "import sys, abacus_client; print(*sys.modules)"
    loaded = run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "PIL", "torch", "pandas", "service", "training"} & set(loaded)


@pytest.fixture
def document(address_of_all: str) -> Document:
    found: Document = httpx.get(f"{address_of_all}/openapi.json").json()
    return found


RESULTS: dict[str, type[Prediction]] = {
    "digit": DigitPrediction,
    "colour": PicturePrediction,
    "iris": ClassPrediction,
    "pass": BinaryPrediction,
    "flat": NumbersPrediction,
}


# What is answered of each digit alone.
PLACED = set(PlacedDigit.model_fields) - set(DigitPrediction.model_fields)

# What answers gained since: an older service does not have it.
GAINED = {"digit": {"reason"}}


@pytest.mark.parametrize("model", RESULTS)
def test_results_are_what_openapi_says(asking: Client, document: Document, model: str) -> None:
    """Of the same names and types, but for columns and labels, which are each model's own."""
    manifest = asking.model(model).manifest
    assert manifest
    own = {*manifest.columns, *(manifest.output.labels if manifest.kind == "table" else ())}
    one, many = answer_schema(document, model)["oneOf"]
    ours = flat(RESULTS[model].model_json_schema())
    said = flat(one)
    placed = set(said["properties"]) & PLACED if model == "digit" else set()
    theirs = {name: schema for name, schema in said["properties"].items() if name not in own | placed}
    assert set(theirs) <= set(ours["properties"])
    for name, schema in theirs.items():
        assert is_covered(schema, ours["properties"][name]), name
    gained = GAINED.get(model, set())
    assert gained <= set(one["required"])
    assert set(ours["required"]) == set(one["required"]) - own - gained
    for name in placed:
        assert is_covered(
            said["properties"][name], flat(PlacedDigit.model_json_schema())["properties"][name]
        )
    for name in set(said["properties"]) & own:
        assert is_covered(said["properties"][name], ours["additionalProperties"]), name
    assert set(many["properties"]) == {"predictions", "model", "version"}


@pytest.mark.parametrize(("ours", "theirs"), [(Problem, "Problem"), (Model, "ModelInfo")])
def test_what_else_is_read_is_what_openapi_says(
    document: Document, ours: type[BaseModel], theirs: str
) -> None:
    said = document["components"]["schemas"][theirs]
    read = ours.model_json_schema()
    assert set(read["properties"]) <= set(said["properties"])
    assert set(read["required"]) <= set(said["required"])


def test_errors_are_the_service_s_own() -> None:
    """Each with its slug, below the same one."""

    def tree(error: Any) -> dict[str, Any]:
        children = [child for child in error.__subclasses__() if child.__module__ == error.__module__]
        return {f"{child.__name__} {child.slug}": tree(child) for child in children}

    theirs = tree(service.errors.ServiceError)
    of_the_protocol = {"InvalidRequest invalid-request", "ReadOnlyRepository read-only-repository"}
    assert of_the_protocol <= theirs.keys()  # which this client does not speak
    assert tree(ServiceError) == {name: theirs[name] for name in theirs.keys() - of_the_protocol}
    drawing = (abacus_client.errors.__doc__ or "").split()
    classes = {name for name, value in vars(abacus_client.errors).items() if isinstance(value, type)}
    assert classes - set(drawing) == {"BaseModel", "ConfigDict", "Iterator", "Problem", "ProblemField"}
