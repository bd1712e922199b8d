"""What is asked of the repository: its index, and to load and unload models."""

import asyncio
from collections.abc import Collection
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.errors import InvalidRequest, ReadOnlyRepository, RequestTimeout
from service.serving.body import Body
from service.serving.call import Backend
from service.serving.loading import Repository

MAX_QUESTION_BYTES = 4096

Question = TypeVar("Question", bound=BaseModel)


class IndexQuestion(BaseModel):
    model_config = ConfigDict(strict=True)

    ready: bool = False


class Change(BaseModel):
    """Of a model."""

    parameters: dict[str, Any] = Field(default_factory=dict)


def in_openapi(kind: type[BaseModel]) -> dict[str, Any]:
    """An operation that takes it as its body, which may be left out."""
    return {"requestBody": {"content": {"application/json": {"schema": kind.model_json_schema()}}}}


async def question(body: Body, kind: type[Question], timeout_s: float) -> Question:
    """What it says, if there is anything.

    Raises InvalidRequest, PayloadTooLarge, RequestTimeout, Overloaded or ClientDisconnect.
    """
    has_body = {b"content-length", b"transfer-encoding"} & body.headers.keys()
    try:
        async with asyncio.timeout(timeout_s):
            document = await body.content() if has_body else b""
        return kind.model_validate_json(document) if document.strip() else kind()
    except ValidationError:
        fields = ", ".join(kind.model_fields)
        raise InvalidRequest(f"The body is neither empty nor an object of: {fields}.") from None
    except TimeoutError:
        raise RequestTimeout(f"The body was not there within {timeout_s:g} s.") from None
    finally:
        body.forget()


def controlled(backend: Backend, name: str) -> Repository:
    """Through which requests load and unload `name`. Raises ReadOnlyRepository: they do not."""
    if backend.repository is None:
        raise ReadOnlyRepository(name)
    return backend.repository


def check_changes_nothing(parameters: Collection[str]) -> None:
    """Of a model that is to be loaded: it is served as it was published. Raises InvalidRequest."""
    if parameters:
        raise InvalidRequest("A model is loaded as it lies in the store; there are no parameters for it.")
