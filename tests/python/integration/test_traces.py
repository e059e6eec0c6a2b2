"""Traces: from a client through the server into the model, and to a collector."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import tritonclient.grpc as triton
from trace_collector import TraceCollector, collecting
from traced_model import Traced

from torchdeploy_pkg import Server, package

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    archive = folder / "traced/1/model.pt"
    archive.parent.mkdir(parents=True)
    example = {"x": torch.ones(2, 3), "trace": ["", ""]}
    package(Traced().eval(), archive, name="traced", example_inputs=example)
    (folder / "traced/config.yaml").write_text(
        "traceparent: trace\nbatching: {max_size: 8, max_delay_us: 200000}"
    )
    return folder


@pytest.fixture
def collector() -> Iterator[TraceCollector]:
    with collecting() as collector:
        yield collector


def infer(url: str, rows: int, headers: dict[str, str]) -> list[str]:
    """What the model was told, for each row."""
    x = np.full((rows, 3), rows, np.float32)
    tensor = triton.InferInput("x", x.shape, "FP32")
    tensor.set_data_from_numpy(x)
    with triton.InferenceServerClient(url) as client:
        result = client.infer("traced", [tensor], headers=headers)
    assert np.array_equal(result.as_numpy("output_0"), 2 * x)
    return [text.decode() for text in result.as_numpy("output_1")]


def test_requests_of_several_traces_in_one_batch_keep_theirs(
    models: Path, collector: TraceCollector
) -> None:
    parents = [f"00-{TRACE}-{span:016x}-01" for span in (1, 2, 3)]
    with Server(models, interpreters=1, otlp_endpoint=collector.endpoint) as server:
        with ThreadPoolExecutor(3) as threads:
            told = list(
                threads.map(
                    lambda i: infer(server.url, i + 1, {"traceparent": parents[i]}), range(3)
                )
            )
        spans = collector.await_spans("infer traced", 3)
    by_parent = {int.from_bytes(span.parent_span_id, "big"): span for span in spans}
    assert sorted(by_parent) == [1, 2, 3]
    for i, texts in enumerate(told):
        span = by_parent[i + 1]
        assert span.trace_id.hex() == TRACE
        assert texts == [f"00-{TRACE}-{span.span_id.hex()}-01"] * (i + 1)
    rows = {a.key: a.value.int_value for a in spans[0].attributes}["torchdeploy.batch_rows"]
    assert rows == 6
    assert collector.resource["service.name"] == "torchdeploy"


def test_a_request_without_a_trace_begins_one_at_the_rate(
    models: Path, collector: TraceCollector
) -> None:
    with Server(models, interpreters=1, otlp_endpoint=collector.endpoint, trace_rate=2) as server:
        told = [infer(server.url, 1, {})[0] for _ in range(4)]
        spans = collector.await_spans("infer traced", 2)
    assert [bool(text) for text in told] == [True, False, True, False]
    assert [text.split("-")[1] for text in told[::2]] == [span.trace_id.hex() for span in spans]
    assert not any(span.parent_span_id for span in spans)


def test_the_end_of_the_server_sends_what_waits(models: Path, collector: TraceCollector) -> None:
    with Server(models, interpreters=1, otlp_endpoint=collector.endpoint) as server:
        infer(server.url, 1, {})
    assert collector.await_spans("infer traced", timeout_s=0)


def test_a_collector_that_is_not_there_costs_no_request(models: Path) -> None:
    with Server(models, interpreters=1, otlp_endpoint="http://127.0.0.1:9") as server:
        told = infer(server.url, 1, {"traceparent": f"00-{TRACE}-{1:016x}-01"})
    assert told[0].startswith(f"00-{TRACE}-")
