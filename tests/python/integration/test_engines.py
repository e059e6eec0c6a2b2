"""The same model for each engine: eager, TorchScript, AOTInductor."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import tritonclient.grpc as triton
from click.testing import CliRunner
from engine_models import (
    Branching,
    Counting,
    Pooled,
    Ramp,
    Sorted,
    Squeezed,
    Texts,
    Window,
    example,
    scorer,
)

from torchdeploy_pkg import (
    Client,
    InterpreterManager,
    PackagingError,
    PackagingWarning,
    Server,
    inspect_archive,
    package,
)
from torchdeploy_pkg.cli import main
from torchdeploy_pkg.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine_models import Scorer

pytestmark = pytest.mark.integration

ARCHIVES = {"eager": "1/model.pt", "torchscript": "1/model.pt", "aotinductor": "1/model.pt2"}


@pytest.fixture(scope="module")
def model() -> Scorer:
    return scorer().eval()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, model: Scorer) -> Path:
    folder = tmp_path_factory.mktemp("engines")
    for engine, archive in ARCHIVES.items():
        path = folder / engine / archive
        package(model, path, name=engine, example_inputs=example(), engine=engine)
        (folder / engine / "config.yaml").write_text(
            "batching: {max_size: 8, max_delay_us: 300000}"
        )
    return folder


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    with Server(repository, interpreters=1, intra_op_threads=1) as started:
        yield started


def test_all_engines_answer_the_same_request_with_what_the_model_gives(
    server: Server, model: Scorer
) -> None:
    with Client(server.url) as client:
        for rows in (1, 3, 7):
            x, mask = torch.randn(rows, 6), torch.rand(rows, 6)
            expected = model(x, mask)
            for engine in ARCHIVES:
                answer = client.infer(engine, {"x": x, "mask": mask})
                assert np.allclose(answer["logits"], expected["logits"].detach(), atol=1e-5)
                assert answer["best"].tolist() == expected["best"].tolist()


def test_all_archives_declare_the_same_inputs_outputs_and_batch(repository: Path) -> None:
    found = [inspect_archive(repository / engine / path) for engine, path in ARCHIVES.items()]
    (eager, *others) = (each for each in found if each is not None)
    assert len(others) == 2
    assert eager.batch_dimension == 0
    assert [spec.shape for spec in eager.inputs] == [(-1, 6), (-1, 6)]
    for other in others:
        assert other.inputs == eager.inputs
        assert other.outputs == eager.outputs
        assert other.batch_dimension == eager.batch_dimension


@pytest.mark.parametrize("engine", ["torchscript", "aotinductor"])
def test_requests_share_a_batch(server: Server, engine: str) -> None:
    def ask(_: int) -> None:
        with Client(server.url) as own:
            own.infer(engine, {"x": torch.ones(1, 6), "mask": torch.ones(1, 6)})

    with triton.InferenceServerClient(server.url) as counter, ThreadPoolExecutor(8) as threads:
        before = counter.get_inference_statistics(engine).model_stats[0]
        list(threads.map(ask, range(8)))
        after = counter.get_inference_statistics(engine).model_stats[0]
    assert after.inference_count - before.inference_count == 8
    assert after.execution_count - before.execution_count < 8


def test_a_compiled_model_is_called_in_process_beside_an_eager_one(
    repository: Path, model: Scorer
) -> None:
    x, mask = torch.randn(2, 6), torch.ones(2, 6)
    expected = model(x, mask)["logits"]
    with InterpreterManager(1) as manager:
        compiled = manager.load_package(repository / "aotinductor/1/model.pt2").load_pickle()
        eager = manager.load_package(repository / "eager/1/model.pt").load_pickle()
        assert torch.allclose(compiled(x=x, mask=mask)["logits"], expected, atol=1e-5)
        assert torch.allclose(eager(x, mask)["logits"], expected, atol=1e-5)
        with pytest.raises(InvalidArgumentError, match='"mask": unmatched dim value at 1'):
            compiled(x=x, mask=mask[:, :1])


def test_compiled_code_takes_one_row_whatever_it_was_packaged_with(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pooled = Pooled().eval()
    for rows in (1, 3):
        path = tmp_path / f"{rows}.pt2"
        package(pooled, path, example_inputs=torch.randn(rows, 3, 8, 8), engine="aotinductor")
        with InterpreterManager(1) as manager:
            compiled = manager.load_package(path).load_pickle()
            for asked in (1, 2, 7):
                x = torch.randn(asked, 3, 8, 8)
                assert torch.allclose(compiled(x=x)["output"], pooled(x), atol=1e-5)


@pytest.mark.parametrize("model", [Squeezed(), Branching()])
def test_compiled_code_that_would_answer_one_row_otherwise_refuses_it(
    tmp_path: Path, model: torch.nn.Module
) -> None:
    path = tmp_path / "model.pt2"
    with pytest.warns(PackagingWarning, match="other answers than the model for an extent of 1 in"):
        package(model.eval(), path, example_inputs=torch.randn(3, 3, 8, 8), engine="aotinductor")
    with InterpreterManager(1) as manager:
        compiled = manager.load_package(path).load_pickle()
        x = torch.randn(2, 3, 8, 8)
        assert torch.allclose(compiled(x=x)["output"], model(x), atol=1e-5)
        with pytest.raises(InvalidArgumentError, match="too small at 0"):
            compiled(x=x[:1])


def test_compiled_code_refuses_what_is_shorter_than_the_model_takes(tmp_path: Path) -> None:
    window, path = Window().eval(), tmp_path / "window.pt2"
    package(window, path, example_inputs=torch.randn(1, 1, 9), engine="aotinductor")
    with InterpreterManager(1) as manager:
        compiled = manager.load_package(path).load_pickle()
        for steps in (5, 12):
            x = torch.randn(1, 1, steps)
            assert torch.allclose(compiled(x=x)["output"], window(x), atol=1e-5)
        with pytest.raises(InvalidArgumentError, match="too small at 2"):
            compiled(x=torch.randn(1, 1, 4))


def test_a_buffer_starts_as_it_was_and_is_kept_between_calls(tmp_path: Path) -> None:
    counting = Counting().eval()
    path = tmp_path / "counting.pt"
    package(counting, path, example_inputs=torch.zeros(2), engine="torchscript")
    assert counting.calls.item() == 0
    with InterpreterManager(1) as manager:
        packaged = manager.load_package(path).load_pickle()
        for calls in (1, 2):
            answer = packaged(x=torch.zeros(2))["output"]
            assert answer.tolist() == [100 + calls, 100 + calls]


def test_a_model_with_a_state_that_compiled_code_forgets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="called a second time, gives other values"):
        package(
            Counting().eval(),
            tmp_path / "counting.pt2",
            example_inputs=torch.zeros(2),
            engine="aotinductor",
        )


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_what_a_trace_fixes_is_fixed_in_the_manifest(tmp_path: Path) -> None:
    x = torch.ones(3, 2)
    eager = package(Ramp().eval(), tmp_path / "eager.pt", example_inputs=x)
    with pytest.warns(PackagingWarning, match="so it is traced"):
        traced = package(
            Ramp().eval(), tmp_path / "traced.pt", example_inputs=x, engine="torchscript"
        )
    assert [spec.shape for spec in eager.inputs] == [(-1, -1)]
    assert [spec.shape for spec in traced.inputs] == [(3, -1)]


@pytest.mark.parametrize("engine", ["torchscript", "aotinductor"])
def test_what_such_an_engine_cannot_run_is_refused_with_the_reason(
    tmp_path: Path, engine: str
) -> None:
    path = tmp_path / "model.pt"
    x = torch.ones(3)
    with pytest.raises(PackagingError, match="input 'text' is no tensor"):
        package(Texts().eval(), path, example_inputs=(x, "a"), engine=engine)
    with pytest.raises(PackagingError, match="output 'order' is a str"):
        package(Sorted().eval(), path, example_inputs=x, engine=engine)
    with pytest.raises(PackagingError, match="needs example_inputs"):
        package(Sorted().eval(), path, engine=engine)
    with pytest.raises(PackagingError, match=r"takes a torch\.nn\.Module, and this is a function"):
        package(example, path, example_inputs=x, engine=engine)
    with pytest.raises(InvalidArgumentError, match="handler: for engine 'eager' only"):
        package(Sorted().eval(), path, example_inputs=x, engine=engine, handler=Ramp)
    assert not path.exists()


def test_an_unknown_engine_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="engine is 'onnx'; expected 'eager'"):
        package(scorer().eval(), tmp_path / "model.pt", engine="onnx")


def test_the_command_line_packages_for_each_engine(tmp_path: Path) -> None:
    path = tmp_path / "scorer.pt2"
    command = ["package", "engine_models:scorer", str(path), "--engine", "aotinductor"]
    done = CliRunner().invoke(main, [*command, "--example", "engine_models:example"])
    assert done.exit_code == 0, done.output
    assert "scorer version 1" in done.output
    shown = CliRunner().invoke(main, ["inspect", str(path)])
    assert shown.exit_code == 0
    assert "logits" in shown.output
