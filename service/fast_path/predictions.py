"""`POST /predict/{name}`, answered directly: as the model's endpoint has it."""

from collections.abc import Sequence
from typing import Any

from service.endpoints.answer import MEDIA_TYPES, respond
from service.endpoints.endpoint import Decoded, Endpoint
from service.fast_path.calls import FastCall, Reply
from service.serving.job import Answer, Rows


class PredictCall(FastCall):
    __slots__ = ("_decoded",)

    @staticmethod
    def read(endpoint: Endpoint, calls: Sequence[FastCall]) -> Sequence[Any]:
        return endpoint.read([(call.content_type, call.body) for call in calls])

    def _rows_in(self, read: Any) -> Rows | None:
        decoded: Decoded | None = self.served.endpoint.decode(self, read)
        if decoded is None:
            return None
        self._decoded: Decoded = decoded
        return decoded.rows

    def _reply(self, answer: Answer) -> Reply:
        body, timing = respond(self, self._decoded, answer)
        return Reply(MEDIA_TYPES["json"], timing, body)
