"""The actors of `deploy.ray.batch`: one version of a model, and batches of pictures or of rows."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from abacus_cli.columns import ERROR, FILE, answered
from service.artifacts.remote.store import store_of
from service.artifacts.signatures import trusted_by
from service.decoding.pool import fit_of
from service.endpoints.kinds import endpoint_of
from service.endpoints.picture import PictureEndpoint
from service.endpoints.table import TableEndpoint
from service.engine.devices import resolve_device
from service.engine.loading import load
from service.engine.predictor import Predictor
from service.errors import ServiceError
from service.pictures.images import Finding, Upload, find, open_pictures, rows_of
from service.serving.job import Answer
from service.settings import Settings

# Text, JSON but for a picture's path: rows of a dataset are to be alike.
SHOWN, GIVEN, ANSWER = "shown", "given", "answer"

# An answer, or why there is none.
Results = Iterator[Mapping[str, Any] | str]


class Reader:
    """An actor: a version is loaded and verified once."""

    def __init__(self, settings: Settings, name: str, version: int) -> None:
        """Raises ArtifactError, KeyUnusable or DeviceUnavailable."""
        folder = store_of(settings).folder(name, version)
        device = resolve_device(settings.device)
        self._predictor = load(folder, device, settings.precision, trusted_by(settings))
        manifest = self._predictor.manifest
        endpoint = endpoint_of(manifest)
        self._reads: Pictures | Rows
        if isinstance(endpoint, TableEndpoint):
            self._reads = Rows(endpoint, self._predictor)
        else:
            assert isinstance(endpoint, PictureEndpoint)
            self._reads = Pictures(endpoint, self._predictor, settings.max_image_pixels)
        self._served_by = {"model": manifest.name, "version": manifest.version}

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """What is `given`, each with what is `shown` beside its answer, or its error."""
        results = self._reads.results([str(given) for given in batch[GIVEN]])
        answers = [
            json.dumps(self._row(json.loads(shown), result))
            for shown, result in zip(batch[SHOWN], results, strict=True)
        ]
        return {ANSWER: np.array(answers, dtype=object)}

    def _row(self, shown: dict[str, Any], result: Mapping[str, Any] | str) -> dict[str, Any]:
        if isinstance(result, str):
            return {**shown, ERROR: result}
        return answered(shown, {**result, **self._served_by})


class Pictures:
    def __init__(self, endpoint: PictureEndpoint, predictor: Predictor, max_pixels: int) -> None:
        self._endpoint = endpoint
        self._predictor = predictor
        self._max_pixels = max_pixels

    def results(self, paths: Sequence[str]) -> Results:
        read = [self._read(path) for path in paths]
        findings = [one for one in read if isinstance(one, Finding)]
        found = iter(self._found(findings) if findings else ())
        for one in read:
            yield one if isinstance(one, str) else next(found)

    def _read(self, path: str) -> Finding | str:
        """What the model reads of a picture, or why there is nothing."""
        try:
            data = Path(path).read_bytes()
            (picture,) = open_pictures([Upload(FILE, data)], self._max_pixels)
            return find(picture, fit_of(self._endpoint.input))
        except (OSError, ServiceError) as error:
            return str(error)

    def _found(self, findings: Sequence[Finding]) -> list[dict[str, Any]]:
        rows = rows_of([finding.pixels for finding in findings], self._endpoint.input.row_shape)
        outputs = self._predictor.answer(torch.from_numpy(rows))
        return self._endpoint.results(Answer(outputs, self._predictor.manifest, 0, 0), findings)


class Rows:
    def __init__(self, endpoint: TableEndpoint, predictor: Predictor) -> None:
        self._endpoint = endpoint
        self._predictor = predictor

    def results(self, rows: Sequence[str]) -> Results:
        """Answers to rows of JSON. Where one is wrong, each is asked alone, to answer the others."""
        document = rows[0] if len(rows) == 1 else f"[{','.join(rows)}]"
        try:
            decoded = self._endpoint.decoded(document.encode())
        except ServiceError as error:
            if len(rows) == 1:
                yield str(error)
            else:
                for row in rows:
                    yield from self.results([row])
            return
        outputs = self._predictor.answer(torch.from_numpy(decoded.rows))
        yield from decoded.results(Answer(outputs, self._predictor.manifest, 0, 0), slice(None))
