"""What an entry calls when the user gave a handler."""

import inspect
from collections.abc import Callable
from typing import Any


def call_model(model: Callable[..., Any], data: Any) -> Any:
    """The default inference: a dict by keyword, a tuple by position, anything else as it is."""
    if isinstance(data, dict):
        return model(**data)
    if isinstance(data, tuple):
        return model(*data)
    return model(data)


class HandlerTarget:
    """postprocess(inference(preprocess(inputs))), each step optional.

    A handler class is constructed here, once per interpreter; an instance travels in the
    archive with all it holds.
    """

    def __init__(self, model: Any, handler: Any) -> None:
        self._model = model
        self._handler = handler
        self._make_steps()

    def _make_steps(self) -> None:
        handler = self._handler
        if isinstance(handler, type):
            handler = handler(self._model) if inspect.signature(handler).parameters else handler()
        steps = (
            getattr(handler, name, None) for name in ("preprocess", "inference", "postprocess")
        )
        self._preprocess, self._inference, self._postprocess = steps

    def __getstate__(self) -> dict[str, Any]:
        return {"_model": self._model, "_handler": self._handler}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make_steps()

    def __call__(self, inputs: dict[str, Any]) -> Any:
        """The last step's result for inputs by name."""
        data = inputs if self._preprocess is None else self._preprocess(inputs)
        infer = self._inference
        result = call_model(self._model, data) if infer is None else infer(data)
        return result if self._postprocess is None else self._postprocess(result)
