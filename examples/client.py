"""Ask a running server: what it serves, one request, and several at once.

Start a server first, such as ``torchdeploy serve classifier.pt``, then
``python client.py localhost:8001 classifier``.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from torchdeploy_pkg import Client, InvalidArgumentError, TensorSpec


def example_of(spec: TensorSpec) -> np.ndarray:
    """Ones of the declared dtype, with 2 for each free extent."""
    kinds = {"FP32": np.float32, "FP64": np.float64, "INT64": np.int64}
    shape = [2 if extent == -1 else extent for extent in spec.shape or (1,)]
    return np.ones(shape, dtype=kinds.get(spec.datatype, np.float32))


def main(url: str, model: str) -> None:
    """Print what the model takes and gives."""
    with Client(url) as client:
        client.wait_until_ready(model, timeout_s=60)
        metadata = client.metadata(model)
        for spec in (*metadata.inputs, *metadata.outputs):
            print(f"  {spec}")
        inputs = {spec.name: example_of(spec) for spec in metadata.inputs}
        for name, array in client.infer(model, inputs, timeout_s=10).items():
            print(f"{name}: {array.dtype} {list(array.shape)}")
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda _: client.infer(model, inputs), range(20)))
        print(f"{len(answers)} answers from 4 threads")
        try:
            client.infer(model, {})
        except InvalidArgumentError as error:
            print(f"without inputs: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
