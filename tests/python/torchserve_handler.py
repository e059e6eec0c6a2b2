"""A handler that derives from TorchServe's own base class."""

from __future__ import annotations

import json
from typing import Any

import torch
from ts.torch_handler.base_handler import BaseHandler


class Doubler(BaseHandler):  # type: ignore[misc]
    def initialize(self, context: Any) -> None:
        super().initialize(context)
        assert self.device.type == "cpu"

    def preprocess(self, data: list[dict[str, bytes]]) -> torch.Tensor:
        return torch.tensor([json.loads(row["data"]) for row in data], dtype=torch.float32)

    def postprocess(self, data: torch.Tensor) -> list[Any]:
        doubled: list[Any] = (data * 2).tolist()
        return doubled
