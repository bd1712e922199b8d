"""`POST /v2/models/{name}/infer`, answered directly: tensors in, tensors out."""

import time
from collections.abc import Sequence

from service.endpoints.answer import recorded
from service.endpoints.endpoint import Endpoint
from service.endpoints.picture import PictureEndpoint
from service.fast_path.calls import FastCall, Reply
from service.protocol.answers import Chosen, telling, writing
from service.protocol.infer import begin, reading_rows, replying
from service.protocol.requests import HEADER, Inference, json_length, reading
from service.serving.call import INLINE_BYTES
from service.serving.job import Answer, Rows
from service.serving.steps import taken
from service.uploads.requests import Uploads


class InferCall(FastCall):
    __slots__ = ("_decode_s", "_inference", "_outputs")

    @staticmethod
    def read(endpoint: Endpoint, calls: Sequence[FastCall]) -> Sequence[bytes]:
        """Each is read by itself, so that what is wrong with one is nothing to the others."""
        del endpoint
        return [call.body for call in calls]

    def _rows_in(self, read: bytes) -> Rows | None:
        started, endpoint = time.perf_counter(), self.served.endpoint
        header = self._headers.get(HEADER)
        if self._work(header) > INLINE_BYTES:
            return None
        inference = taken(reading(read, header, endpoint.manifest))
        if inference.timeout_s:
            self.hurry(inference.timeout_s)
        self._inference: Inference = inference
        self._outputs: list[Chosen] = begin(self, inference)
        came = taken(reading_rows(inference.inputs, endpoint))
        rows = endpoint.rows_at_once(self, came) if isinstance(came, Uploads) else came
        self._decode_s = time.perf_counter() - started
        return rows

    def _work(self, header: bytes | None) -> int:
        """How many bytes are read one by one: pixels that are no JSON are taken as they are."""
        size = len(self.body)
        return json_length(header, size) if isinstance(self.served.endpoint, PictureEndpoint) else size

    def _reply(self, answer: Answer) -> Reply:
        inference = self._inference
        told = taken(telling(self._outputs, answer))
        timing = recorded(self, self._decode_s, answer)
        written = taken(writing(inference, told, answer.manifest))
        body, media_type, fields = taken(replying(written, self._headers.get(b"accept-encoding")))
        return Reply(media_type, timing, body, fields)
