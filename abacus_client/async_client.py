"""The client for programs of asyncio."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload

import httpx

from abacus_client.asking import SPLIT, Batch, Outcome, Question, chunks_of_any, halves, read
from abacus_client.catalogue import Catalogue, Manifest, Model
from abacus_client.connecting import (
    NO_HEADERS,
    NO_OPTIONS,
    Connecting,
    One,
    Options,
    P,
    doubted,
    is_doubtful,
    manifest_in,
    model_path,
    only,
    told,
)
from abacus_client.errors import AbacusError, InputError
from abacus_client.results import Prediction
from abacus_client.retrying import checked, errors_translated
from abacus_client.rows import Frame

T = TypeVar("T")


class AsyncClient:
    """As `Client`, in one event loop: asks the service at `address`, and keeps its connections.

    `timeout`: seconds for a request with all its repetitions; the service is told of it. `retries`: how
    often a request is sent again that was refused for the moment (429, 502, 503) or met no connection.
    `concurrency`: how many requests are under way for a list or an iterator.
    """

    def __init__(
        self,
        address: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        timeout: float = 30,
        retries: int = 5,
        concurrency: int = 4,
    ) -> None:
        """Raises InputError."""
        self._connecting = Connecting(address, api_key, timeout, retries, concurrency).checked()
        with errors_translated():
            self._http = httpx.AsyncClient(**self._connecting.options())
        self._manifests: dict[str, Manifest] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Its connections."""
        await self._http.aclose()

    async def models(self) -> list[Model]:
        """All of the service. Raises AbacusError."""
        catalogue = await self._sent("GET", "models", lambda response: read(Catalogue, response))
        return catalogue.models

    async def model(self, name: str) -> Model:
        """What it takes and answers, and which versions are loaded. Raises AbacusError."""
        return await self._sent("GET", model_path(name), lambda response: read(Model, response))

    async def versions(self, name: str) -> list[int]:
        """Those that `predict(…, version=…)` may ask. Raises AbacusError."""
        return (await self.model(name)).loaded

    @overload
    async def predict(self, name: str, /, **columns: Any) -> Any: ...
    @overload
    async def predict(self, name: str, inputs: One, /, *, result: type[P] = ..., **options: Any) -> P: ...
    @overload
    async def predict(
        self,
        name: str,
        inputs: Sequence[Any] | Frame,
        /,
        *,
        return_errors: Literal[True],
        result: type[P] = ...,
        **options: Any,
    ) -> list[P | AbacusError]: ...
    @overload
    async def predict(
        self, name: str, inputs: Sequence[Any] | Frame, /, *, result: type[P] = ..., **options: Any
    ) -> list[P]: ...
    @overload
    async def predict(
        self,
        name: str,
        inputs: Iterable[Any] | AsyncIterable[Any],
        /,
        *,
        return_errors: Literal[True],
        result: type[P] = ...,
        **options: Any,
    ) -> AsyncIterator[P | AbacusError]: ...
    @overload
    async def predict(
        self,
        name: str,
        inputs: Iterable[Any] | AsyncIterable[Any],
        /,
        *,
        result: type[P] = ...,
        **options: Any,
    ) -> AsyncIterator[P]: ...
    async def predict(
        self,
        name: str,
        inputs: Any = None,
        /,
        *,
        version: int | None = None,
        explain: bool = False,
        each: bool = False,
        top: int | None = None,
        batch: int | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
        return_errors: bool = False,
        result: type[Prediction] = Prediction,
        **columns: Any,
    ) -> Any:
        """What the model says of `inputs`: one picture or row, a list, or anything that can be iterated.

        One is answered by a prediction of the class that its kind has, a list by a list, an iterator, of
        either sort, by an asynchronous one: both in order, of any length, at most `batch` inputs a request.
        A row may be given by its `columns`, too. `each`: all digits of a number, as a DigitsPrediction.
        `result`: the class that you expect.

        The first input that is refused raises its error, which has its `index`; with `return_errors` each
        error stands in the place of its answer. Raises AbacusError.
        """
        options = Options(version, explain, each, top, batch, timeout, request_id, return_errors, result)
        manifest = await self._manifest(name, options)
        with doubted(self._manifests, name):
            question = options.question(manifest)
            given, shape = question.given(inputs, columns)
        if shape == "one":
            return only(await self._outcomes(question, given, options), options)
        predictions = self._stream(question, given, options)
        return [prediction async for prediction in predictions] if shape == "list" else predictions

    async def _stream(self, question: Question, inputs: Any, options: Options) -> AsyncIterator[Any]:
        """Some requests ahead of whoever takes the answers."""
        under_way: deque[asyncio.Task[list[Outcome]]] = deque()
        place = 0
        try:
            async for chunk in chunks_of_any(inputs, question.batch):
                under_way.append(asyncio.create_task(self._outcomes(question, chunk, options)))
                if len(under_way) >= self._connecting.concurrency:
                    outcomes = await under_way.popleft()
                    for prediction in told(outcomes, place, options):
                        yield prediction
                    place += len(outcomes)
            while under_way:
                outcomes = await under_way.popleft()
                for prediction in told(outcomes, place, options):
                    yield prediction
                place += len(outcomes)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _outcomes(self, question: Question, inputs: Sequence[Any], options: Options) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for batch in await asyncio.to_thread(list, question.batches(inputs)):  # which reads files
            if isinstance(batch, InputError):
                outcomes.append(batch)
            else:
                outcomes += await self._of_batch(question, batch, options)
        if is_doubtful(question, outcomes):
            self._manifests.pop(question.manifest.name, None)
        return outcomes

    async def _of_batch(self, question: Question, batch: Batch, options: Options) -> Sequence[Outcome]:
        """Apart, where one of them is refused: nothing of a request that was refused is answered."""
        try:
            return await self._sent(
                "POST",
                question.path,
                lambda response: question.results(response, len(batch)),
                options,
                **question.request(batch),
            )
        except AbacusError as error:
            if len(batch) == 1 or not isinstance(error, SPLIT):
                return [error] * len(batch)
        first, second = halves(batch)
        return [
            *await self._of_batch(question, first, options),
            *await self._of_batch(question, second, options),
        ]

    async def _manifest(self, name: str, options: Options) -> Manifest:
        """Known from an earlier request, or asked for."""
        if name not in self._manifests:
            self._manifests[name] = await self._sent("GET", model_path(name), manifest_in, options)
        return self._manifests[name]

    async def _sent(
        self,
        method: str,
        path: str,
        read: Callable[[httpx.Response], T],
        options: Options = NO_OPTIONS,
        headers: Mapping[str, str] = NO_HEADERS,
        **request: Any,
    ) -> T:
        """Until it is answered. Raises AbacusError."""
        attempts = self._connecting.attempts(options)
        own = options.headers(headers)
        while True:
            try:
                give_up_s = attempts.give_up_s()
                with errors_translated():
                    async with asyncio.timeout(give_up_s):
                        response = await self._http.request(
                            method, path, headers=own | attempts.headers(), timeout=give_up_s, **request
                        )
                return read(checked(response))
            except AbacusError as error:
                await asyncio.sleep(attempts.wait_s(error))
