"""TorchScript archives, served beside eager ones and called in this process."""

from __future__ import annotations

import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import tritonclient.grpc as triton
from click.testing import CliRunner
from script_models import Broken, Net, Texts
from tritonclient.utils import InferenceServerException

from torchdeploy_pkg import Client, InterpreterManager, ModelError, Server, package
from torchdeploy_pkg.cli import main
from torchdeploy_pkg.errors import InvalidArgumentError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration

MANIFEST = {
    "format": 1,
    "name": "declared",
    "version": "1",
    "entry": {"package": "torchdeploy", "resource": "entry.pkl"},
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 8]}],
    "outputs": [{"name": "OUTPUT__0", "datatype": "FP32", "shape": [-1, 4]}],
    "methods": {
        "scaled": {
            "inputs": [
                {"name": "x", "datatype": "FP32", "shape": [-1, 8]},
                {"name": "factor", "datatype": "FP64", "shape": [1]},
            ],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}],
        }
    },
    "batch_dimension": 0,
    "python": "3.11.7",
    "torch": "2.13.0",
    "distributions": {},
}


def save(model: torch.nn.Module, path: Path, manifest: dict[str, object] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    extra = {} if manifest is None else {"torchdeploy/manifest.json": json.dumps(manifest)}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit.*", DeprecationWarning)
        torch.jit.save(torch.jit.script(model.eval()), str(path), _extra_files=extra)
    return path


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, net: Net) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save(net, folder / "script/1/model.pt")
    save(net, folder / "own/1/model.pt")
    (folder / "own/config.yaml").write_text(
        "{interpreters: 2, optimized_execution: false, inference_mode: true}"
    )
    save(net, folder / "declared/1/model.pt", MANIFEST)
    (folder / "declared/config.yaml").write_text("batching: {max_size: 8, max_delay_us: 300000}")
    save(Texts(), folder / "texts/1/model.pt")
    save(Broken(), folder / "broken/1/model.pt")
    save(net, folder / "placed/1/model.pt")
    (folder / "placed/config.yaml").write_text("device: cpu")
    for name in ("eager", "unoptimized"):
        package(net, folder / name / "1/model.pt", name=name, example_inputs=torch.ones(1, 8))
    (folder / "unoptimized/config.yaml").write_text("optimized_execution: false")
    return folder


@pytest.fixture(scope="module")
def server(models: Path) -> Iterator[Server]:
    loaded = ["script", "own", "declared", "texts", "broken", "eager"]
    with Server(
        models, interpreters=1, intra_op_threads=1, model_control="explicit", load_model=loaded
    ) as started:
        yield started


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url) as connected:
        yield connected


def test_every_engine_gives_what_plain_torch_gives(client: Client, net: Net) -> None:
    x = torch.randn(3, 8)
    expected = net(x).detach().numpy()
    for _ in range(4):  # Profiled in the first calls, optimized after them.
        for model in ("script", "own", "declared"):
            assert np.allclose(client.infer(model, {"x": x})["OUTPUT__0"], expected, atol=1e-6)
        assert np.allclose(client.infer("eager", {"x": x})["output"], expected, atol=1e-6)


def test_inputs_may_be_named_by_position(client: Client, net: Net) -> None:
    x = torch.randn(3, 8)
    answer = client.infer("script", {"INPUT__0": x})
    assert np.allclose(answer["OUTPUT__0"], net(x).detach().numpy(), atol=1e-6)


def test_texts_go_in_and_come_out(client: Client) -> None:
    answer = client.infer("texts", {"texts": ["ab", "größer"]})
    assert [text.decode() for text in answer["OUTPUT__0"]] == ["AB", "GRößER"]
    assert answer["OUTPUT__1"].tolist() == [2, 8]


def test_scripted_and_eager_models_answer_at_the_same_time(server: Server, net: Net) -> None:
    def ask(number: int) -> bool:
        x = torch.full((1, 8), float(number))
        with Client(server.url) as own:
            answers = [own.infer(model, {"x": x}) for model in ("script", "eager", "own")]
        expected = net(x).detach().numpy()
        return all(np.allclose(next(iter(a.values())), expected, atol=1e-5) for a in answers)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(64)))


def test_a_manifest_among_the_extra_files_declares_the_model(client: Client, net: Net) -> None:
    metadata = client.metadata("declared")
    assert [(spec.name, spec.datatype) for spec in metadata.inputs] == [("x", "FP32")]
    x = torch.randn(2, 8)
    answer = client.infer("declared", {"x": x, "factor": np.array([2.0])}, method="scaled")
    assert np.allclose(answer["y"], 2 * net(x).detach().numpy(), atol=1e-5)
    with pytest.raises(InvalidArgumentError, match="input 'x' is missing"):
        client.infer("declared", {"z": x})


def test_requests_to_a_scripted_model_share_a_batch(server: Server) -> None:
    def ask(_: int) -> None:
        with Client(server.url) as own:
            own.infer("declared", {"x": torch.ones(1, 8)})

    with triton.InferenceServerClient(server.url) as counter, ThreadPoolExecutor(8) as threads:
        before = counter.get_inference_statistics("declared").model_stats[0]
        list(threads.map(ask, range(8)))
        after = counter.get_inference_statistics("declared").model_stats[0]
    assert after.inference_count - before.inference_count == 8
    assert after.execution_count - before.execution_count < 8


def test_an_error_of_the_model_is_that_requests_alone(client: Client) -> None:
    with pytest.raises(ModelError, match="no such luck"):
        client.infer("broken", {"x": torch.ones(1)})
    with pytest.raises(ModelError, match="shapes cannot be multiplied"):
        client.infer("script", {"x": torch.ones(1, 9)})
    with pytest.raises(InvalidArgumentError, match='lacks the argument "x"; it takes x: Tensor'):
        client.infer("script", {})
    assert client.infer("script", {"x": torch.ones(1, 8)})


def test_scripted_models_start_no_python_of_their_own(server: Server) -> None:
    maps = Path(f"/proc/{server.process_id}/maps").read_text().splitlines()
    original = str(Path(torch.__file__).parent / "lib/libtorch_python.so")
    pythons = {line.split()[-1] for line in maps if line.endswith("/libtorch_python.so")}
    assert len(pythons - {original}) == 1, "the shared one, though 'own' has two interpreters"


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("placed", "device is for archives of Python code only"),
        ("unoptimized", "optimized_execution is for archives of TorchScript"),
    ],
)
def test_what_an_engine_cannot_do_is_refused_at_the_load(
    server: Server, model: str, why: str
) -> None:
    with (
        triton.InferenceServerClient(server.url) as control,
        pytest.raises(InferenceServerException, match=why),
    ):
        control.load_model(model)


def test_a_scripted_module_is_called_in_this_process(models: Path, net: Net) -> None:
    x = torch.randn(2, 8)
    with InterpreterManager(2, intra_op_threads=1) as manager:
        model = manager.load_package(models / "script/1/model.pt").load_pickle("model", "model.pkl")
        threads_before = torch.get_num_threads()
        assert torch.allclose(model(x), net(x), atol=1e-6)
        assert torch.allclose(model(x=x), net(x), atol=1e-6)
        assert torch.get_num_threads() == threads_before
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda _: model(x), range(100)))
        assert all(torch.allclose(answer, net(x), atol=1e-6) for answer in answers)


def test_inspect_prints_what_the_manifest_says_or_that_there_is_none(models: Path) -> None:
    declared = CliRunner().invoke(main, ["inspect", str(models / "declared/1/model.pt")])
    assert declared.exit_code == 0
    assert "declared version 1" in declared.output
    plain = CliRunner().invoke(main, ["inspect", str(models / "script/1/model.pt")])
    assert plain.exit_code == 0
    assert "no manifest" in plain.output


def test_a_manager_that_starts_on_demand_runs_scripted_modules_without_a_python(
    models: Path, run_python: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    program = """
import sys
from pathlib import Path
import numpy as np
from torchdeploy_pkg import InterpreterManager
with InterpreterManager(2, intra_op_threads=1, on_demand=True) as manager:
    model = manager.load_package(sys.argv[1]).load_pickle()
    assert model(np.ones((2, 8), np.float32)).shape[0] == 2
    maps = Path("/proc/self/maps").read_text()
    assert "libtorch_cpu" in maps
    assert "libtorch_python" not in maps
    with manager.acquire_one() as session:
        assert session.global_("math", "sqrt")(4.0).deref() == 2.0
    assert "libtorch_python" in Path("/proc/self/maps").read_text()
"""
    done = run_python("-c", program, models / "script/1/model.pt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
