"""TorchServe's handler: bytes in, bytes out."""

from __future__ import annotations

import logging
from typing import Any

from hosted_model import WORKLOAD, HostedModel


class Handler:
    """Made, and initialized, in each worker."""

    def initialize(self, _context: Any) -> None:
        """Load the model."""
        logging.disable(logging.INFO)  # Else two lines for each request go to the Java process.
        self._model = HostedModel()

    def handle(self, data: list[dict[str, Any]], _context: Any) -> list[bytes]:
        """One call of the model for the requests that TorchServe has joined, or for one."""
        requests = [WORKLOAD.request_of(each["body"]) for each in data]
        return [answer.tobytes() for answer in self._model(requests)]
