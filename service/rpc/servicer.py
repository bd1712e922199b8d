"""The protocol's calls."""

import time
from collections.abc import AsyncIterator
from typing import Any

from google.protobuf.json_format import ParseDict

from service.errors import InferenceFailed, NotReady, ServiceError, UnknownModel
from service.problems import LONGEST_DETAIL, shortened
from service.protocol.infer import computed, most_rows
from service.protocol.metadata import ServerMetadata, index, model_config, model_metadata
from service.protocol.repository import check_changes_nothing, controlled
from service.protocol.statistics import statistics
from service.request_id import request_id_of
from service.rpc.calls import Calls, Scope
from service.rpc.exchange import Exchange
from service.rpc.inference import inference_of, response_of
from service.rpc.messages import SERVICE, message
from service.rpc.timing import Timed
from service.serving.call import Admitted, Backend
from service.serving.exposition import RPC_ROUTE
from service.serving.served import Served

# A message is two turns of the loop behind its call, and calls that come together are not there at once.
TURNS = 2


class RpcCall(Admitted):
    """A request for inference."""

    __slots__ = ()
    turns = TURNS


class InferenceServicer:
    """Its methods have the names of the protocol; what they raise, `Calls` tells."""

    def __init__(self, backend: Backend, calls: Calls) -> None:
        self._backend = backend
        self._registry = backend.registry
        self._calls = calls

    async def ServerLive(self, _request: Any, _: Scope) -> Any:
        return message("ServerLiveResponse", live=not self._registry.hung)

    async def ServerReady(self, _request: Any, _: Scope) -> Any:
        return message("ServerReadyResponse", ready=not self._registry.unready())

    async def ModelReady(self, request: Any, _: Scope) -> Any:
        """Not ready is an answer: clients take an error for a server that is not there."""
        try:
            self._served(request.name, request.version)
        except (UnknownModel, NotReady):
            return message("ModelReadyResponse", ready=False)
        return message("ModelReadyResponse", ready=True)

    async def ServerMetadata(self, _request: Any, _: Scope) -> Any:
        return message("ServerMetadataResponse", **ServerMetadata().model_dump())

    async def ModelMetadata(self, request: Any, _: Scope) -> Any:
        metadata = model_metadata(self._served(request.name, request.version), self._registry)
        return ParseDict(metadata.model_dump(), message("ModelMetadataResponse"))

    async def ModelConfig(self, request: Any, _: Scope) -> Any:
        served = self._served(request.name, request.version)
        config = model_config(served.manifest, most_rows(served.endpoint))
        return ParseDict({"config": config}, message("ModelConfigResponse"), ignore_unknown_fields=True)

    async def ModelStatistics(self, request: Any, _: Scope) -> Any:
        name, version = request.name or None, request.version or None
        if name:
            self._served(name, request.version)
        said = statistics(self._backend.metrics, self._registry, name, version)
        return ParseDict(said, message("ModelStatisticsResponse"))

    async def RepositoryIndex(self, request: Any, _: Scope) -> Any:
        models = [entry.model_dump() for entry in index(self._registry, request.ready)]
        return ParseDict({"models": models}, message("RepositoryIndexResponse"))

    async def RepositoryModelLoad(self, request: Any, _: Scope) -> Any:
        repository = controlled(self._backend, request.model_name)
        check_changes_nothing(list(request.parameters))
        await repository.load(request.model_name)
        return message("RepositoryModelLoadResponse")

    async def RepositoryModelUnload(self, request: Any, _: Scope) -> Any:
        await controlled(self._backend, request.model_name).unload(request.model_name)
        return message("RepositoryModelUnloadResponse")

    async def ModelInfer(self, request: Any, scope: Scope) -> Any:
        """By the version that is asked, or by its canary. Raises ServiceError or TimeoutError."""
        name, backend = request.model_name, self._backend
        if self._registry.knows(name):
            scope["state"]["route"] = RPC_ROUTE.format(name)
        served = self._served(name, request.model_version)
        canary = None if request.model_version else served.canary
        if canary and canary.takes(request_id_of(scope)):
            try:
                return await self._inferred_by(canary.served, request, scope)
            except InferenceFailed as error:
                canary.fail(error)
            served = backend.served(name)
        return await self._inferred_by(served, request, scope)

    async def ModelStreamInfer(self, requests: AsyncIterator[Any], context: Exchange) -> AsyncIterator[Any]:
        """One answer to each request, in their order. An error is one, unless it is to end the stream."""
        ends = ("triton_grpc_error", "true") in (context.invocation_metadata() or ())
        async for request in requests:

            async def answer(scope: Scope, request: Any = request) -> Any:
                return _streamed(await self.ModelInfer(request, scope))

            def instead(error: ServiceError, request: Any = request) -> Any:
                return _streamed(message("ModelInferResponse", id=request.id), error)

            path = f"/{SERVICE}/ModelStreamInfer"
            yield await self._calls.answered(context, path, answer, None if ends else instead)

    async def _inferred_by(self, served: Served, request: Any, scope: Scope) -> Any:
        call = RpcCall(scope, dict(scope["headers"]), served, self._backend)
        try:
            started = time.perf_counter()
            inference = inference_of(request)
            for seconds in (scope["time_remaining"](), inference.timeout_s):
                if seconds is not None:
                    call.hurry(seconds)
            with Timed(self._backend.deadlines, call.expires_at):
                told, answer, _ = await computed(call, inference, request.ByteSize(), started)
            return response_of(inference, told, answer.manifest)
        finally:
            call.release()

    def _served(self, name: str, version: str) -> Served:
        return self._backend.served(name, version or None)


def _streamed(answer: Any, error: ServiceError | None = None) -> Any:
    """The one answer to a request of a stream, and the last, for which Triton's clients may wait."""
    answer.parameters["triton_final_response"].bool_param = True
    said = shortened(error.detail, LONGEST_DETAIL) if error else ""
    return message("ModelStreamInferResponse", error_message=said, infer_response=answer)
