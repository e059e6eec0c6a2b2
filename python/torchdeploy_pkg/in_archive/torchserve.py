"""Runs a TorchServe handler, a class with initialize(context) and handle(data, context).

Source: TorchServe 0.12, ts/torch_handler/base_handler.py and ts/context.py.
"""

import json
import os
from typing import Any


class _NoMetrics:
    """Takes every metric and keeps none."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_args, **_kwargs: None


class Context:
    """The parts of TorchServe's context that exist without TorchServe.

    model_dir names a folder that is not there: an archive carries code and weights, no
    extra files.
    """

    def __init__(self, model_name: str) -> None:
        self.model_name = model_name
        self.manifest = {
            "model": {
                "modelName": model_name,
                "modelFile": "model.py",
                "serializedFile": "model.pt",
            }
        }
        self.system_properties = {
            "model_dir": f"{os.devnull}/model",
            "gpu_id": None,
            "batch_size": 1,
            "server_name": "torchdeploy",
        }
        self.model_yaml_config: dict[str, Any] = {}
        self.metrics = _NoMetrics()
        self.request_ids: dict[int, str] = {}

    def get_request_id(self, _index: int = 0) -> "str | None":
        """There is none."""
        return None

    def get_request_header(self, _index: int, _key: str) -> "str | None":
        """There is none."""
        return None

    def get_all_request_header(self, _index: int) -> dict[str, str]:
        """There is none."""
        return {}


class TorchServeTarget:
    """One request per row: {name: rows} in, {"output": one bytes per row} out."""

    def __init__(self, model: Any, handler: Any, model_name: str) -> None:
        self._model = model
        self._handler = handler
        self._model_name = model_name
        self._initialize()

    def _initialize(self) -> None:
        model = self._model

        def loaded(*_args: Any) -> Any:
            return model

        # BaseHandler.initialize() loads weights from files; here the archive has loaded them.
        loaders = {"_load_pickled_model": loaded, "_load_torchscript_model": loaded}
        served = type(self._handler.__name__, (self._handler,), loaders)
        self._service = served()
        self._service.model = model
        self._context = Context(self._model_name)
        self._service.initialize(self._context)
        if getattr(self._service, "model", None) is None:
            self._service.model = model

    def __getstate__(self) -> dict[str, Any]:
        return {
            "_model": self._model,
            "_handler": self._handler,
            "_model_name": self._model_name,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._initialize()

    def __call__(self, inputs: dict[str, Any]) -> dict[str, list[bytes]]:
        """Answers of handle(), one for each row of the inputs."""
        rows = min((len(value) for value in inputs.values()), default=0)
        requests = [{name: value[row] for name, value in inputs.items()} for row in range(rows)]
        answers = self._service.handle(requests, self._context)
        if not isinstance(answers, (list, tuple)) or len(answers) != rows:
            msg = (
                f"{type(self._service).__name__}.handle() must return a list of {rows}, "
                f"one for each request, but returned {answers!r:.200}"
            )
            raise TypeError(msg)
        return {"output": [_to_bytes(answer) for answer in answers]}


def _to_bytes(answer: Any) -> bytes:
    """As TorchServe writes a response: bytes and text as they are, anything else as JSON."""
    if isinstance(answer, (bytes, bytearray)):
        return bytes(answer)
    if isinstance(answer, str):
        return answer.encode("utf-8")
    return json.dumps(answer, default=lambda value: value.tolist()).encode("utf-8")
