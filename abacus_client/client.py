"""The client for programs that wait for their answers."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload

import httpx

from abacus_client.asking import SPLIT, Batch, Outcome, Question, chunks, halves, read
from abacus_client.background import Begun
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
from abacus_client.retrying import Attempts, checked, errors_translated
from abacus_client.rows import Frame

T = TypeVar("T")


class Client:
    """Asks the service at `address`. Several threads may share one; it keeps its connections.

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
            self._http = httpx.Client(**self._connecting.options())
        self._manifests: dict[str, Manifest] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Its connections."""
        self._http.close()

    def models(self) -> list[Model]:
        """All of the service. Raises AbacusError."""
        return self._sent("GET", "models", lambda response: read(Catalogue, response)).models

    def model(self, name: str) -> Model:
        """What it takes and answers, and which versions are loaded. Raises AbacusError."""
        return self._sent("GET", model_path(name), lambda response: read(Model, response))

    def versions(self, name: str) -> list[int]:
        """Those that `predict(…, version=…)` may ask. Raises AbacusError."""
        return self.model(name).loaded

    @overload
    def predict(self, name: str, /, **columns: Any) -> Any: ...
    @overload
    def predict(self, name: str, inputs: One, /, *, result: type[P] = ..., **options: Any) -> P: ...
    @overload
    def predict(
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
    def predict(
        self, name: str, inputs: Sequence[Any] | Frame, /, *, result: type[P] = ..., **options: Any
    ) -> list[P]: ...
    @overload
    def predict(
        self,
        name: str,
        inputs: Iterable[Any],
        /,
        *,
        return_errors: Literal[True],
        result: type[P] = ...,
        **options: Any,
    ) -> Iterator[P | AbacusError]: ...
    @overload
    def predict(
        self, name: str, inputs: Iterable[Any], /, *, result: type[P] = ..., **options: Any
    ) -> Iterator[P]: ...
    def predict(
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

        One is answered by a prediction of the class that its kind has, a list by a list, an iterator by an
        iterator: both in order, of any length, at most `batch` inputs a request. A row may be given by its
        `columns`, too. `each`: all digits of a number, as a DigitsPrediction. `result`: the class that you
        expect.

        The first input that is refused raises its error, which has its `index`; with `return_errors` each
        error stands in the place of its answer. Raises AbacusError.
        """
        options = Options(version, explain, each, top, batch, timeout, request_id, return_errors, result)
        manifest = self._manifest(name, options)
        with doubted(self._manifests, name):
            question = options.question(manifest)
            given, shape = question.given(inputs, columns)
        if shape == "one":
            return only(self._outcomes(question, given, options), options)
        predictions = self._stream(question, given, options)
        return list(predictions) if shape == "list" else predictions

    def _stream(self, question: Question, inputs: Iterable[Any], options: Options) -> Iterator[Any]:
        """Some requests ahead of whoever takes the answers."""
        under_way: deque[Begun[list[Outcome]]] = deque()
        place = 0
        for chunk in chunks(inputs, question.batch):
            under_way.append(Begun(partial(self._outcomes, question, chunk, options)))
            if len(under_way) >= self._connecting.concurrency:
                outcomes = under_way.popleft().result()
                yield from told(outcomes, place, options)
                place += len(outcomes)
        while under_way:
            outcomes = under_way.popleft().result()
            yield from told(outcomes, place, options)
            place += len(outcomes)

    def _outcomes(self, question: Question, inputs: Sequence[Any], options: Options) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for batch in question.batches(inputs):
            outcomes += (
                [batch] if isinstance(batch, InputError) else self._of_batch(question, batch, options)
            )
        if is_doubtful(question, outcomes):
            self._manifests.pop(question.manifest.name, None)
        return outcomes

    def _of_batch(self, question: Question, batch: Batch, options: Options) -> Sequence[Outcome]:
        """Apart, where one of them is refused: nothing of a request that was refused is answered."""
        try:
            return self._sent(
                "POST",
                question.path,
                lambda response: question.results(response, len(batch)),
                options,
                **question.request(batch),
            )
        except AbacusError as error:
            if len(batch) == 1 or not isinstance(error, SPLIT):
                return [error] * len(batch)
        return [outcome for half in halves(batch) for outcome in self._of_batch(question, half, options)]

    def _manifest(self, name: str, options: Options) -> Manifest:
        """Known from an earlier request, or asked for."""
        if name not in self._manifests:
            self._manifests[name] = self._sent("GET", model_path(name), manifest_in, options)
        return self._manifests[name]

    def _sent(
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
                with errors_translated():
                    headers = own | attempts.headers()
                    response = self._answer(attempts, method, path, headers=headers, **request)
                return read(checked(response))
            except AbacusError as error:
                time.sleep(attempts.wait_s(error))

    def _answer(self, attempts: Attempts, method: str, path: str, **request: Any) -> httpx.Response:
        """All of it: httpx gives each read the whole timeout."""
        with self._http.stream(method, path, timeout=attempts.give_up_s(), **request) as response:
            pieces = []
            for piece in response.iter_raw():
                pieces.append(piece)
                attempts.check()
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            content=b"".join(pieces),
            request=response.request,
            extensions=response.extensions,
        )
