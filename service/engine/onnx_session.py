"""An ONNX file computed by onnxruntime: the format beside TorchScript (docs/decisions/0019)."""

from typing import Any

import torch
from torch import Tensor

from service import installing
from service.artifacts.manifest import ArtifactError
from service.engine.tensors import reason

ON_CPU = ["CPUExecutionProvider"]


class OnnxSession:
    """Answers batches: rows on the CPU → answers f32 on the CPU. Called by one thread at a time.

    The session is made at the first call, with as many threads as torch has by then: a process that is
    copied before would leave its threads behind.
    """

    def __init__(self, where: str, model: bytes) -> None:
        """`where`: what messages call its version. Raises ArtifactError where onnxruntime is missing."""
        try:
            import onnxruntime
            from onnxruntime.capi import onnxruntime_pybind11_state as state
        except ImportError as error:
            raise ArtifactError(f"{where} is ONNX, which needs the extra: {installing('onnx')}") from error
        self._onnxruntime = onnxruntime
        self._faults = (ValueError, *filter(_is_fault, vars(state).values()))
        self._model = model
        self._session: Any = None

    def __call__(self, rows: Tensor) -> Tensor:
        """Raises RuntimeError where the file is none, or fails on these rows."""
        try:
            if self._session is None:
                self._session = self._started()
            (given,) = self._session.get_inputs()
            (answers,) = self._session.run(None, {given.name: rows.numpy()})
        except self._faults as error:
            raise RuntimeError(reason(error)) from error
        return torch.from_numpy(answers)

    def _started(self) -> Any:
        options = self._onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Threads that wait by running in circles would take the processors from those that read pictures.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # what it warns of concerns whoever exported the file
        return self._onnxruntime.InferenceSession(self._model, options, providers=ON_CPU)


def _is_fault(named: object) -> bool:
    """Whether onnxruntime raises it: its classes have no other in common than Exception."""
    return isinstance(named, type) and issubclass(named, Exception)
