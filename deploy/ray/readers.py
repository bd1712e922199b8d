"""The actors of `deploy.ray.batch`: one version of a model, and batches of pictures or of rows."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from abacus_cli.bulk import reason
from abacus_client.asking import chunks
from service.artifacts.remote.store import store_of
from service.artifacts.signatures import trusted_by
from service.decoding.pool import fit_of
from service.endpoints.kinds import endpoint_of
from service.endpoints.picture import PictureEndpoint
from service.endpoints.table import TableEndpoint
from service.engine.devices import resolve_device
from service.engine.loading import load
from service.engine.predictor import MAX_BATCH_ROWS, Predictor
from service.errors import ServiceError
from service.pictures.images import Finding, find, open_picture, rows_of
from service.serving.job import Answer
from service.settings import Settings

# An answer, or why there is none.
Result = Mapping[str, Any] | str
Results = Iterable[Result]


class Reader:
    """An actor: a version is loaded and verified once, when it is first asked.

    Not when it is made: what is raised there Ray tells as a text alone.
    """

    def __init__(self, settings: Settings, name: str, version: int) -> None:
        self._settings = settings
        self._name, self._version = name, version

    def load(self) -> None:
        """Raises ArtifactError, KeyUnusable or DeviceUnavailable."""
        _ = self._reads

    def answer(self, given: Sequence[Any]) -> list[Result]:
        """What each is answered: where one is wrong, each is asked alone. Raises as `load` does.

        `given`: pictures, or paths of them; or rows.
        """
        try:
            results = self._reads.results(given)
            served_by = {"model": self._name, "version": self._version}
            return [one if isinstance(one, str) else {**one, **served_by} for one in results]
        except ServiceError as error:
            if len(given) == 1:
                return [reason(error)]
            return [result for one in given for result in self.answer([one])]

    @cached_property
    def _reads(self) -> "Pictures | Rows":
        settings = self._settings
        folder = store_of(settings).folder(self._name, self._version)
        device, trusted = resolve_device(settings.device), trusted_by(settings)
        predictor = load(folder, device, settings.precision, trusted, settings.max_model_bytes)
        endpoint = endpoint_of(predictor.manifest)
        if isinstance(endpoint, TableEndpoint):
            return Rows(endpoint, predictor)
        assert isinstance(endpoint, PictureEndpoint)
        return Pictures(endpoint, predictor, settings.max_image_pixels)


class Pictures:
    def __init__(self, endpoint: PictureEndpoint, predictor: Predictor, max_pixels: int) -> None:
        self._endpoint = endpoint
        self._predictor = predictor
        self._max_pixels = max_pixels

    def results(self, given: Sequence[str | bytes]) -> Results:
        for some in chunks(given, MAX_BATCH_ROWS):
            read = [self._read(one) for one in some]
            findings = [one for one in read if isinstance(one, Finding)]
            found = iter(self._found(findings) if findings else ())
            for one in read:
                yield one if isinstance(one, str) else next(found)

    def _read(self, given: str | bytes) -> Finding | str:
        """What the model reads of a picture, or why there is nothing."""
        try:
            data = given if isinstance(given, bytes) else Path(given).read_bytes()
            picture = open_picture(data, self._max_pixels)
            return find(picture, fit_of(self._endpoint.input))
        except (OSError, ServiceError) as error:
            return reason(error)

    def _found(self, findings: Sequence[Finding]) -> list[dict[str, Any]]:
        rows = rows_of([finding.pixels for finding in findings], self._endpoint.input.row_shape)
        outputs = self._predictor.answer(torch.from_numpy(rows))
        return self._endpoint.results(Answer(outputs, self._predictor.manifest, 0, 0), findings)


class Rows:
    def __init__(self, endpoint: TableEndpoint, predictor: Predictor) -> None:
        self._endpoint = endpoint
        self._predictor = predictor

    def results(self, rows: Sequence[Mapping[str, Any]]) -> Results:
        """Raises ServiceError where one is wrong."""
        decoded = self._endpoint.decoded(json.dumps(rows if len(rows) > 1 else rows[0]).encode())
        outputs = self._predictor.answer(torch.from_numpy(decoded.rows))
        return decoded.results(Answer(outputs, self._predictor.manifest, 0, 0), slice(None))
