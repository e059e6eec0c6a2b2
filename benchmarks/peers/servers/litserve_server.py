"""LitServe: workers that are processes, behind FastAPI."""

# No `from __future__ import annotations`: LitServe hands the annotations on to FastAPI.
from typing import Annotated

import litserve
from fastapi import Body, Response
from hosted_model import MAX_BATCH, MAX_DELAY_MS, PORT, REPLICAS, WORKLOAD, HostedModel
from workloads import Array, Request


class Single(litserve.LitAPI):
    """Bytes in, bytes out: JSON would cost it more."""

    def setup(self, _device: str) -> None:
        """Load the model, in each worker."""
        self._model = HostedModel()

    def decode_request(self, request: Annotated[bytes, Body()]) -> Request:  # type: ignore[override]
        """The tensor or the text of a body."""
        return WORKLOAD.request_of(request)

    def predict(self, x: Request) -> Array:
        """Call the model for one request."""
        return self._model([x])[0]

    def encode_response(self, output: Array) -> Response:
        """The tensor's bytes."""
        return Response(output.tobytes(), media_type="application/octet-stream")


class Joined(Single):
    """Requests that wait are joined."""

    def batch(self, inputs: list[Request]) -> list[Request]:
        """Leave it to the model how requests are joined."""
        return inputs

    def predict(self, x: list[Request]) -> list[Array]:  # type: ignore[override]
        """Call the model for a batch."""
        return self._model(x)

    def unbatch(self, output: list[Array]) -> list[Array]:
        """An answer for each request."""
        return output


def main() -> None:
    """Serve until SIGTERM."""
    api = (
        Joined(max_batch_size=MAX_BATCH, batch_timeout=MAX_DELAY_MS / 1000)
        if MAX_BATCH > 1
        else Single()
    )
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=REPLICAS, fast_queue=True
    )
    server.run(
        host="127.0.0.1",
        port=PORT,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
        pretty_logs=False,
    )


if __name__ == "__main__":
    main()
