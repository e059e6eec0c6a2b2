"""Clients that other people wrote, as they are: tritonclient and perf_analyzer."""

from __future__ import annotations

import asyncio
import os
import queue
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from own_models import RunningSum
from trace_collector import collecting
from tritonclient.utils import InferenceServerException, shared_memory

from torchdeploy_pkg import Server, package

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.integration

# `make build/perf_analyzer` brings it, with the library that it is linked to.
PERF_ANALYZER = Path(__file__).resolve().parents[3] / "build/perf_analyzer"

Answer = tuple[triton.InferResult | None, InferenceServerException | None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models = tmp_path_factory.mktemp("models")
    (models / "relu" / "1").mkdir(parents=True)
    linear = torch.nn.Linear(4, 4, bias=False)
    torch.nn.init.eye_(linear.weight)
    model = torch.nn.Sequential(linear, torch.nn.ReLU()).eval()
    package(model, models / "relu/1/model.pt", name="relu", example_inputs=torch.ones(1, 4))
    (models / "relu/config.yaml").write_text("batching: {max_size: 8}")
    package(
        RunningSum().eval(),
        models / "sums/1/model.pt",
        name="sums",
        example_inputs={"x": torch.ones(4), "sequence": 1, "start": True, "end": True},
    )
    (models / "sums/config.yaml").write_text(
        "sequences: {id: sequence, start: start, end: end}\nwarmup_calls: 0"
    )
    with (
        collecting() as collector,
        Server(
            models,
            interpreters=2,
            allow_shared_memory=True,
            metrics_port=0,
            allow_settings=True,
            otlp_endpoint=collector.endpoint,
        ) as started,
    ):
        yield started


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    return server.url


def input_of(x: np.ndarray[Any, Any]) -> triton.InferInput:
    tensor = triton.InferInput("input", x.shape, "FP32")
    tensor.set_data_from_numpy(x)
    return tensor


def test_tritonclient_reads_and_changes_what_is_traced_and_logged(url: str) -> None:
    with triton.InferenceServerClient(url) as client:
        before = client.get_trace_settings("relu", as_json=True)["settings"]
        assert before["trace_level"]["value"] == ["TIMESTAMPS"]
        changed = client.update_trace_settings("relu", {"trace_rate": "7"}, as_json=True)
        assert changed["settings"]["trace_rate"]["value"] == ["7"]
        cleared = client.update_trace_settings("relu", {"trace_rate": None}, as_json=True)
        assert cleared["settings"] == before
        assert client.update_log_settings({"log_error": False}).settings["log_error"] is not None
        silent = client.get_log_settings(as_json=True)["settings"]
        assert not silent["log_error"].get("bool_param")
        client.update_log_settings({"log_error": True})
        with pytest.raises(InferenceServerException, match="'trace_levle' is unknown"):
            client.update_trace_settings("relu", {"trace_levle": "OFF"})


def test_tritonclient_is_told_what_the_server_has(url: str) -> None:
    with triton.InferenceServerClient(url) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("relu")
        metadata = client.get_model_metadata("relu", as_json=True)
        assert metadata["inputs"] == [
            {"name": "input", "datatype": "FP32", "shape": ["-1", "4"]},
        ]
        config = client.get_model_config("relu").config
        assert config.max_batch_size == 8
        assert list(config.input[0].dims) == [4]
        names = [model.name for model in client.get_model_repository_index().models]
        assert names == ["relu", "sums"]


def test_tritonclient_is_answered(url: str) -> None:
    x = np.array([[-1, 2, -3, 4]], np.float32)
    with triton.InferenceServerClient(url) as client:
        before = client.get_inference_statistics("relu").model_stats[0].inference_count
        result = client.infer("relu", [input_of(x)], request_id="one")
        assert result.get_response().id == "one"
        assert np.array_equal(result.as_numpy("output"), np.maximum(x, 0))
        after = client.get_inference_statistics("relu").model_stats[0].inference_count
        assert after == before + 1
        with pytest.raises(InferenceServerException, match="input 'input' is missing"):
            client.infer("relu", [])


def test_tritonclient_is_answered_on_a_stream(url: str) -> None:
    answers: queue.Queue[Answer] = queue.Queue()
    xs = [np.full((1, 4), i, np.float32) for i in range(-50, 50)]
    with triton.InferenceServerClient(url) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        for i, x in enumerate(xs):
            client.async_stream_infer("relu", [input_of(x)], request_id=str(i))
        seen = set()
        for _ in xs:
            result, error = answers.get(timeout=30)
            assert error is None
            assert result is not None
            i = int(result.get_response().id)
            assert np.array_equal(result.as_numpy("output"), np.maximum(xs[i], 0))
            seen.add(i)
        assert seen == set(range(len(xs)))
        client.async_stream_infer("nobody", [input_of(xs[0])])
        result, error = answers.get(timeout=30)
        assert error is not None
        assert "nobody" in str(error)
        client.stop_stream()


def test_tritonclients_sequences_keep_their_state(url: str) -> None:
    x = np.arange(4, dtype=np.float32)
    tensor = triton.InferInput("x", x.shape, "FP32")
    tensor.set_data_from_numpy(x)
    with triton.InferenceServerClient(url) as client:
        metadata = client.get_model_metadata("sums", as_json=True)
        assert [each["name"] for each in metadata["inputs"]] == ["x"]

        def add(sequence: int, *, start: bool = False, end: bool = False) -> np.ndarray[Any, Any]:
            result = client.infer(
                "sums", [tensor], sequence_id=sequence, sequence_start=start, sequence_end=end
            )
            sums: np.ndarray[Any, Any] = result.as_numpy("output")
            return sums

        for sequence in range(1, 6):
            assert np.array_equal(add(sequence, start=True), x)
        for sequence in range(1, 6):
            assert np.array_equal(add(sequence), 2 * x)
            assert np.array_equal(add(sequence, end=True), 3 * x)
        with pytest.raises(InferenceServerException, match="has ended"):
            add(1)


def test_tritonclient_shares_memory_with_the_server(url: str) -> None:
    x = np.array([[-1, 2, -3, 4]], np.float32)
    region = shared_memory.create_shared_memory_region("mine", f"/mine_{os.getpid()}", 2 * x.nbytes)
    try:
        shared_memory.set_shared_memory_region(region, [x])
        with triton.InferenceServerClient(url) as client:
            client.register_system_shared_memory("mine", f"/mine_{os.getpid()}", 2 * x.nbytes)
            status = client.get_system_shared_memory_status(as_json=True)
            assert status["regions"]["mine"]["byte_size"] == str(2 * x.nbytes)
            tensor = triton.InferInput("input", x.shape, "FP32")
            tensor.set_shared_memory("mine", x.nbytes)
            output = triton.InferRequestedOutput("output")
            output.set_shared_memory("mine", x.nbytes, offset=x.nbytes)
            client.infer("relu", [tensor], outputs=[output])
            answer = shared_memory.get_contents_as_numpy(region, np.float32, x.shape, x.nbytes)
            assert np.array_equal(answer, np.maximum(x, 0))
            client.unregister_system_shared_memory("mine")
            with pytest.raises(InferenceServerException, match="'mine' is not registered"):
                client.infer("relu", [tensor])
    finally:
        shared_memory.destroy_shared_memory_region(region)


def test_tritonclients_asyncio_is_answered_alone_and_on_a_stream(url: str) -> None:
    xs = [np.full((1, 4), i, np.float32) for i in range(8)]

    async def requests() -> AsyncIterator[dict[str, Any]]:
        for i, x in enumerate(xs):
            yield {"model_name": "relu", "inputs": [input_of(x)], "request_id": str(i)}

    async def ask() -> None:
        async with triton_aio.InferenceServerClient(url) as client:
            results = await asyncio.gather(*(client.infer("relu", [input_of(x)]) for x in xs))
            for x, result in zip(xs, results, strict=True):
                assert np.array_equal(result.as_numpy("output"), x)
            seen = set()
            async for result, error in client.stream_infer(requests()):
                assert error is None
                i = int(result.get_response().id)
                assert np.array_equal(result.as_numpy("output"), xs[i])
                seen.add(i)
            assert seen == set(range(len(xs)))

    asyncio.run(ask())


MODES = {
    "one after the other": [],
    "several at a time": ["--concurrency-range", "4"],
    "asynchronously": ["--async", "--concurrency-range", "4"],
    "on a stream": ["--streaming", "--concurrency-range", "4"],
    "at a rate": ["--request-rate-range", "100"],
    "in batches": ["-b", "4"],
    "through shared memory": ["--shared-memory", "system", "--concurrency-range", "2"],
    "through shared memory on a stream": ["--shared-memory", "system", "--streaming", "--async"],
    "in sequences": ["-m", "sums", "--shape", "x:4", "--concurrency-range", "3"],
    "in sequences on a stream": ["-m", "sums", "--shape", "x:4", "--streaming"],
    "asking for traces": ["--trace-level", "TIMESTAMPS"],
    "reading metrics": ["--collect-metrics", "--metrics-url"],
}


@pytest.mark.parametrize("mode", MODES)
def test_perf_analyzer_measures(server: Server, mode: str) -> None:
    binary = PERF_ANALYZER / "bin/perf_analyzer"
    assert binary.is_file(), "run `make build/perf_analyzer` first"
    libraries = PERF_ANALYZER / "nvidia/cuda_runtime/lib"
    model = [] if "-m" in MODES[mode] else ["-m", "relu"]
    metrics = [server.metrics_url.removeprefix("http://")] if "--metrics-url" in MODES[mode] else []
    command = [str(binary), *model, "-u", server.url, "-i", "grpc", *MODES[mode], *metrics]
    command += ["--measurement-interval", "300", "--stability-percentage", "999"]
    done = subprocess.run(
        command,
        env={**os.environ, "LD_LIBRARY_PATH": str(libraries)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (latency_us,) = re.findall(r"Avg latency: (\d+) usec", done.stdout)
    (succeeded,) = re.findall(r"Successful request count: (\d+)", done.stdout)
    (queued_us,) = re.findall(r"\+ queue (\d+) usec", done.stdout)
    assert int(succeeded) > 10
    assert int(queued_us) <= int(latency_us)
