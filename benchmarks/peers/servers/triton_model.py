"""model.py of Triton's Python backend; each instance is a process with a copy of it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

# The backend's Python takes no notice of this variable; its packages it finds by PATH.
sys.path.extend(os.environ["PYTHONPATH"].split(os.pathsep))

import numpy as np
import triton_python_backend_utils as triton
from hosted_model import WORKLOAD, HostedModel

if TYPE_CHECKING:
    from workloads import Request


class TritonPythonModel:
    """Triton's name for it."""

    def initialize(self, _arguments: dict[str, str]) -> None:
        """Load the model, in each instance."""
        self._model = HostedModel()

    def execute(self, requests: list[Any]) -> list[Any]:
        """One call of the model for the requests that Triton has joined, or for one."""
        answers = self._model([_request_of(request) for request in requests])
        return [
            triton.InferenceResponse([triton.Tensor(WORKLOAD.output, answer)]) for answer in answers
        ]


def _request_of(request: Any) -> Request:
    array = triton.get_input_tensor_by_name(request, WORKLOAD.input).as_numpy()
    if WORKLOAD.is_text:
        text: bytes = array.flat[0]
        return text.decode()
    return np.asarray(array)
