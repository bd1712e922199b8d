"""The protocol's calls."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

from google.protobuf.json_format import ParseDict

from service.errors import InferenceFailed, NotReady, ReadOnlyRepository, UnknownModel
from service.protocol.infer import computed, most_rows
from service.protocol.metadata import ServerMetadata, index, model_config, model_metadata
from service.protocol.statistics import statistics
from service.rpc.calls import Calls, Scope
from service.rpc.inference import inference_of, response_of
from service.rpc.messages import message
from service.serving.call import Admitted, Backend
from service.serving.exposition import RPC_ROUTE
from service.serving.request_id import request_id_of
from service.serving.served import Served

Context: TypeAlias = Any  # grpc.aio's, which has no types


class InferenceServicer:
    """Its methods have the names of the protocol."""

    def __init__(self, backend: Backend, calls: Calls) -> None:
        self._backend = backend
        self._registry = backend.registry
        self._calls = calls

    async def ServerLive(self, _request: Any, context: Context) -> Any:
        async def answer(_: Scope) -> Any:
            return message("ServerLiveResponse", live=not self._registry.hung())

        return await self._calls.answered(context, "ServerLive", answer, needs_key=False)

    async def ServerReady(self, _request: Any, context: Context) -> Any:
        async def answer(_: Scope) -> Any:
            return message("ServerReadyResponse", ready=not self._registry.unready())

        return await self._calls.answered(context, "ServerReady", answer, needs_key=False)

    async def ModelReady(self, request: Any, context: Context) -> Any:
        """Not ready is an answer: clients take an error for a server that is not there."""

        async def answer(_: Scope) -> Any:
            try:
                self._served(request.name, request.version)
            except (UnknownModel, NotReady):
                return message("ModelReadyResponse", ready=False)
            return message("ModelReadyResponse", ready=True)

        return await self._calls.answered(context, "ModelReady", answer)

    async def ServerMetadata(self, _request: Any, context: Context) -> Any:
        async def answer(_: Scope) -> Any:
            return message("ServerMetadataResponse", **ServerMetadata().model_dump())

        return await self._calls.answered(context, "ServerMetadata", answer)

    async def ModelMetadata(self, request: Any, context: Context) -> Any:
        async def answer(_: Scope) -> Any:
            metadata = model_metadata(self._served(request.name, request.version), self._registry)
            return ParseDict(metadata.model_dump(), message("ModelMetadataResponse"))

        return await self._calls.answered(context, "ModelMetadata", answer)

    async def ModelConfig(self, request: Any, context: Context) -> Any:
        async def answer(_: Scope) -> Any:
            served = self._served(request.name, request.version)
            config = model_config(served.manifest, most_rows(served.endpoint))
            return ParseDict({"config": config}, message("ModelConfigResponse"), ignore_unknown_fields=True)

        return await self._calls.answered(context, "ModelConfig", answer)

    async def ModelStatistics(self, request: Any, context: Context) -> Any:
        async def answer(_: Scope) -> Any:
            name, version = request.name or None, request.version or None
            if name:
                self._served(name, request.version)
            said = statistics(self._backend.metrics, self._registry, name, version)
            return ParseDict(said, message("ModelStatisticsResponse"))

        return await self._calls.answered(context, "ModelStatistics", answer)

    async def RepositoryIndex(self, request: Any, context: Context) -> Any:
        async def answer(_: Scope) -> Any:
            models = [entry.model_dump() for entry in index(self._registry, request.ready)]
            return ParseDict({"models": models}, message("RepositoryIndexResponse"))

        return await self._calls.answered(context, "RepositoryIndex", answer)

    async def RepositoryModelLoad(self, request: Any, context: Context) -> Any:
        return await self._calls.answered(context, "RepositoryModelLoad", _refusing(request))

    async def RepositoryModelUnload(self, request: Any, context: Context) -> Any:
        return await self._calls.answered(context, "RepositoryModelUnload", _refusing(request))

    async def ModelInfer(self, request: Any, context: Context) -> Any:
        async def answer(scope: Scope) -> Any:
            return await self._inferred(request, context, scope)

        return await self._calls.answered(context, "ModelInfer", answer)

    async def ModelStreamInfer(self, requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        """One answer to each request, in their order; one that cannot be answered ends the stream."""
        async for request in requests:

            async def answer(scope: Scope, request: Any = request) -> Any:
                return await self._inferred(request, context, scope)

            answered = await self._calls.answered(context, "ModelStreamInfer", answer)
            yield message("ModelStreamInferResponse", infer_response=answered)

    async def _inferred(self, request: Any, context: Context, scope: Scope) -> Any:
        """By the version that is asked, or by its canary. Raises ServiceError or TimeoutError."""
        name, backend = request.model_name, self._backend
        if self._registry.knows(name):
            scope["state"]["route"] = RPC_ROUTE.format(name)
        served = self._served(name, request.model_version)
        canary = None if request.model_version else served.canary
        if canary and canary.takes(request_id_of(scope)):
            try:
                return await self._inferred_by(canary.served, request, context, scope)
            except InferenceFailed as error:
                canary.on_failure(error)
            served = backend.served(name)
        return await self._inferred_by(served, request, context, scope)

    async def _inferred_by(self, served: Served, request: Any, context: Context, scope: Scope) -> Any:
        call = Admitted(scope, dict(scope["headers"]), served, self._backend)
        try:
            started = time.perf_counter()
            inference = inference_of(request)
            for seconds in (context.time_remaining(), inference.timeout_s):
                if seconds is not None:
                    call.hurry(seconds)
            async with asyncio.timeout_at(call.expires_at):
                told, answer, _ = await computed(call, inference, request.ByteSize(), started)
            return response_of(inference, told, answer.manifest)
        finally:
            call.release()

    def _served(self, name: str, version: str) -> Served:
        return self._backend.served(name, version or None)


def _refusing(request: Any) -> Any:
    async def answer(_: Scope) -> Any:
        raise ReadOnlyRepository(request.model_name)

    return answer
