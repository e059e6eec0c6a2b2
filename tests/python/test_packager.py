"""What package() writes, and what it refuses."""

from __future__ import annotations

import json
import threading
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import own_handlers
import own_models as own
import pytest
import torch
from torch import nn
from torch.package.package_importer import PackageImporter

from torchdeploy_pkg import (
    InvalidArgumentError,
    PackagingError,
    PackagingWarning,
    TensorSpec,
    inspect_archive,
    package,
)
from torchdeploy_pkg.errors import DataLossError, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:TypedStorage is deprecated:UserWarning")


def entry_of(path: Path) -> Any:
    return PackageImporter(str(path)).load_pickle("torchdeploy", "entry.pkl")


def records_of(path: Path) -> set[str]:
    return {name.partition("/")[2] for name in zipfile.ZipFile(path).namelist()}


def test_archive_is_a_plain_torch_package(tmp_path: Path) -> None:
    model = own.Mlp().eval()
    x = torch.randn(2, 8)
    package(model, tmp_path / "m.pt", example_inputs=x)
    importer = PackageImporter(str(tmp_path / "m.pt"))
    loaded = importer.load_pickle("model", "model.pkl")
    assert torch.equal(loaded(x), model(x))
    assert type(loaded).__module__.endswith("own_models")
    assert {"own_models.py", "torchdeploy_entry/entry.py"} <= records_of(tmp_path / "m.pt")


def test_manifest_in_the_archive_is_the_one_returned(tmp_path: Path) -> None:
    written = package(
        own.Mlp().eval(),
        tmp_path / "m.pt",
        name="mlp",
        version="3",
        example_inputs=torch.ones(2, 8),
    )
    assert inspect_archive(tmp_path / "m.pt") == written
    assert (written.name, written.version) == ("mlp", "3")
    assert written.inputs == (TensorSpec("x", "FP32", (-1, 8)),)
    assert written.outputs == (TensorSpec("output", "FP32", (-1, 8)),)
    assert written.batch_dimension == 0
    assert written.torch == torch.__version__.partition("+")[0]
    assert written.distributions == {"numpy": np.__version__}


def test_weights_are_stored_once(tmp_path: Path) -> None:
    model = nn.Linear(1000, 1000).eval()
    package(model, tmp_path / "m.pt", example_inputs=torch.ones(1, 1000))
    assert (tmp_path / "m.pt").stat().st_size < 1.1 * 4 * 1000 * 1001


def test_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    model = own.Mlp().eval()
    for folder in ("a", "b"):
        package(model, tmp_path / folder / "m.pt", example_inputs=torch.ones(1, 8))
    assert (tmp_path / "a/m.pt").read_bytes() == (tmp_path / "b/m.pt").read_bytes()


def test_model_is_left_as_it_was(tmp_path: Path) -> None:
    model = own.InPlace().eval()
    x = torch.ones(2, 3)
    seed = torch.random.get_rng_state()
    package(model, tmp_path / "m.pt", example_inputs=x)
    assert model.calls == 0
    assert torch.equal(x, torch.ones(2, 3))
    assert torch.equal(seed, torch.random.get_rng_state())
    assert entry_of(tmp_path / "m.pt")(x=x.clone())["calls"] == 1


class NoCopy(own.InPlace):
    def __deepcopy__(self, memo: Any) -> Any:
        raise RuntimeError(memo)


def test_model_that_cannot_be_copied_is_left_as_it_was(tmp_path: Path) -> None:
    model = NoCopy().eval()
    package(model, tmp_path / "m.pt", example_inputs=torch.ones(2, 3))
    assert model.calls == 0


def test_training_mode_is_kept_and_warned_of(tmp_path: Path) -> None:
    with pytest.warns(PackagingWarning, match="training mode"):
        package(own.Mlp().train(), tmp_path / "m.pt", example_inputs=torch.ones(1, 8))
    importer = PackageImporter(str(tmp_path / "m.pt"))
    assert importer.load_pickle("model", "model.pkl").training


def test_pickle_name_can_be_chosen(tmp_path: Path) -> None:
    package(own.Mlp().eval(), tmp_path / "m.pt", resource=("net", "net.pkl"))
    assert PackageImporter(str(tmp_path / "m.pt")).load_pickle("net", "net.pkl").config.width == 8


# Inputs ------------------------------------------------------------------------------------


def test_without_example_inputs_come_from_the_signature(tmp_path: Path) -> None:
    manifest = package(own.ControlFlow().eval(), tmp_path / "m.pt")
    assert manifest.inputs == (TensorSpec("x", "", None), TensorSpec("steps", "", None))
    assert manifest.outputs == ()
    answer = entry_of(tmp_path / "m.pt")(x=torch.ones(1, 4), steps=torch.tensor([1]))
    assert list(answer) == ["output"]


class OnlyOptional(nn.Module):
    def forward(self, x: torch.Tensor | None = None) -> torch.Tensor | None:
        return x


def test_signature_without_required_inputs_asks_for_an_example(tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="pass example_inputs"):
        package(OnlyOptional().eval(), tmp_path / "m.pt")


class AllKinds(nn.Module):
    def forward(self, a: Any, b: int, c: float, d: bool, e: str, f: bytes, g: Any, h: Any) -> Any:
        kinds = [type(value).__name__ for value in (a, b, c, d, e, f, g, h)]
        return {"kinds": kinds, "list": g, "text": f"{b} {c} {d} {e} {f!r}"}


def test_python_values_come_back_as_python_values(tmp_path: Path) -> None:
    example = (np.ones(2), 3, 0.5, True, "é", b"\xff", [1.5, 2.5], ["x", "y"])
    manifest = package(AllKinds().eval(), tmp_path / "m.pt", example_inputs=example)
    shown = [(spec.datatype, spec.shape) for spec in manifest.inputs]
    assert shown == [
        ("FP64", (-1,)),
        ("INT64", (1,)),
        ("FP64", (1,)),
        ("BOOL", (1,)),
        ("BYTES", (1,)),
        ("BYTES", (1,)),
        ("FP64", (-1,)),
        ("BYTES", (-1,)),
    ]
    answer = entry_of(tmp_path / "m.pt")(
        a=torch.ones(1, dtype=torch.float64),
        b=torch.tensor([4]),
        c=torch.tensor([2.5]),
        d=torch.tensor([False]),
        e=["ü".encode()],
        f=[b"\x00"],
        g=torch.tensor([1.0]),
        h=[b"z"],
    )
    assert answer["kinds"] == b"ndarray int float bool str bytes list list".split()
    assert answer["text"] == ["4 2.5 False ü b'\\x00'".encode()]


@pytest.mark.parametrize(
    ("example", "error", "message"),
    [
        ((object(),), InvalidArgumentError, "'x' is a object; expected a tensor"),
        ((torch.ones(2, 8), 1), InvalidArgumentError, "has 2 values, but the model takes 1"),
        ((torch.ones(2, dtype=torch.complex64),), InvalidArgumentError, "'x' is torch.complex64"),
        (([["a"], ["b", "c"]],), InvalidArgumentError, "lists of text in 'x' differ in length"),
        ((torch.ones(2, 7),), PackagingError, "the model failed on example_inputs: RuntimeError"),
        ({"z": torch.ones(2, 8)}, PackagingError, "unexpected keyword argument 'z'"),
    ],
)
def test_bad_example_is_one_clear_error(
    tmp_path: Path, example: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        package(own.Mlp().eval(), tmp_path / "m.pt", example_inputs=example)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("dynamic", "shape"), [({}, (2, 3)), ({"input": [1]}, (2, -1)), (None, (-1, -1))]
)
def test_user_may_name_the_free_dimensions(
    tmp_path: Path, dynamic: Any, shape: tuple[int, ...]
) -> None:
    manifest = package(
        nn.ReLU().eval(), tmp_path / "m.pt", example_inputs=torch.ones(2, 3), dynamic=dynamic
    )
    assert manifest.inputs[0].shape == shape
    assert manifest.outputs[0].shape == shape


@pytest.mark.parametrize(
    ("dynamic", "message"), [({"y": [0]}, "dynamic names 'y'"), ({"input": [2]}, "dimension 2")]
)
def test_wrong_dynamic_is_refused(tmp_path: Path, dynamic: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        package(nn.ReLU().eval(), tmp_path / "m", example_inputs=torch.ones(2, 3), dynamic=dynamic)


class MixesRows(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0)


def test_rows_that_depend_on_each_other_are_no_batch(tmp_path: Path) -> None:
    x = torch.randn(3, 4)
    assert package(MixesRows().eval(), tmp_path / "m.pt", example_inputs=x).batch_dimension is None


# Outputs -----------------------------------------------------------------------------------


class Returns(nn.Module):
    def __init__(self, make: str) -> None:
        super().__init__()
        self.make = make

    def forward(self, x: torch.Tensor) -> Any:
        made = {
            "complex": x * 1j,
            "fp8": x.to(torch.float8_e4m3fn),
            "sparse": x.to_sparse(),
            "set": {1, 2},
            "cache": {"x": x, "cache": object(), "more": {"again": {1}}},
        }
        return made[self.make]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        ("complex", "output 'output' is torch.complex64; return torch.view_as_real"),
        ("fp8", "output 'output' is torch.float8_e4m3fn; return it as one of"),
        ("sparse", r"of layout torch.sparse_coo; return its .to_dense\(\)"),
        ("set", r"nothing that can be served, but output \(set\)"),
    ],
)
def test_output_that_cannot_be_served_is_refused(tmp_path: Path, make: str, message: str) -> None:
    with pytest.raises(PackagingError, match=message):
        package(Returns(make).eval(), tmp_path / "m.pt", example_inputs=torch.ones(2))


def test_outputs_that_are_left_out_are_named_once(tmp_path: Path) -> None:
    with pytest.warns(PackagingWarning) as caught:
        manifest = package(Returns("cache").eval(), tmp_path / "m.pt", example_inputs=torch.ones(2))
    assert [spec.name for spec in manifest.outputs] == ["x"]
    assert len(caught) == 1
    assert "cache (object), more.again (set)" in str(caught[0].message)
    assert list(entry_of(tmp_path / "m.pt")(x=torch.ones(2))) == ["x"]


class Lists(nn.Module):
    def forward(self, x: torch.Tensor) -> dict[str, list[Any]]:
        n = len(x)
        return {"texts": ["a"] * n, "whole": [1] * n, "flags": [True] * n, "reals": [0.5] * n}


def test_lists_without_elements_keep_their_declared_datatypes(tmp_path: Path) -> None:
    manifest = package(Lists().eval(), tmp_path / "m.pt", example_inputs=torch.ones(2))
    declared = {spec.name: spec.datatype for spec in manifest.outputs}
    assert declared == {"texts": "BYTES", "whole": "INT64", "flags": "BOOL", "reals": "FP64"}
    answer = entry_of(tmp_path / "m.pt")(x=torch.ones(0))
    assert answer.pop("texts") == []
    assert {name: (value.dtype, value.shape) for name, value in answer.items()} == {
        "whole": (torch.int64, (0,)),
        "flags": (torch.bool, (0,)),
        "reals": (torch.float64, (0,)),
    }


# Handlers ----------------------------------------------------------------------------------


def test_handler_runs_all_three_steps(tmp_path: Path) -> None:
    model = nn.Linear(2, 2).eval()
    manifest = package(
        model,
        tmp_path / "m.pt",
        handler=own_handlers.Scale,
        example_inputs={"text": ["1 2", "3 4"]},
    )
    assert manifest.inputs == (TensorSpec("text", "BYTES", (-1,)),)
    assert [(s.name, s.datatype) for s in manifest.outputs] == [("sum", "FP32"), ("text", "BYTES")]
    answer = entry_of(tmp_path / "m.pt")(text=[b"5 6"])
    expected = model(torch.tensor([[5.0, 6.0]])).sum(-1)
    assert torch.equal(answer["sum"], expected)
    assert answer["text"] == [f"{expected.item():.1f}".encode()]


def test_handler_may_have_one_step_and_no_argument(tmp_path: Path) -> None:
    example = torch.tensor([[0.4, 1.6]])
    package(
        nn.ReLU().eval(), tmp_path / "m.pt", handler=own_handlers.OnlyPost, example_inputs=example
    )
    assert entry_of(tmp_path / "m.pt")(input=example)["output"].tolist() == [[0.0, 2.0]]


def test_handler_object_travels_with_what_it_holds(tmp_path: Path) -> None:
    handler = own_handlers.Labels(["cat", "dog"])
    x = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    package(nn.ReLU().eval(), tmp_path / "m.pt", handler=handler, example_inputs=x)
    assert entry_of(tmp_path / "m.pt")(input=x) == {"output": [b"dog", b"cat"]}


def test_handler_with_preprocess_needs_named_inputs(tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="needs example_inputs as a dict"):
        package(nn.Linear(2, 2).eval(), tmp_path / "m.pt", handler=own_handlers.Scale)


def test_torchserve_handler_gets_one_request_for_each_row(tmp_path: Path) -> None:
    manifest = package(nn.ReLU().eval(), tmp_path / "net.pt", handler=own_handlers.TorchServeStyle)
    assert manifest.inputs == (TensorSpec("data", "BYTES", (-1,)),)
    assert manifest.batch_dimension == 0
    answer = entry_of(tmp_path / "net.pt")(data=[b"-1 2", b"3 -4"])
    assert [json.loads(row) for row in answer["output"]] == [
        {"model": "net", "values": [0.0, 2.0]},
        {"model": "net", "values": [3.0, 0.0]},
    ]


def test_torchserve_handler_that_reads_files_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match=r"ReadsFiles.initialize\(\) failed.*no model_dir"):
        package(nn.ReLU().eval(), tmp_path / "net.pt", handler=own_handlers.ReadsFiles)


def test_torchserve_base_handler_subclass_works(tmp_path: Path) -> None:
    pytest.importorskip("ts.torch_handler.base_handler")
    from torchserve_handler import Doubler

    package(nn.ReLU().eval(), tmp_path / "net.pt", handler=Doubler)
    assert entry_of(tmp_path / "net.pt")(data=[b"[-1, 2]"])["output"] == [b"[0.0, 4.0]"]


# What cannot be packaged -------------------------------------------------------------------


def locally_defined() -> nn.Module:
    class Local(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    return Local()


def holding(value: Any) -> nn.Module:
    model = nn.Sequential(nn.ReLU())
    model[0].held = value
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (locally_defined(), r"Local\).* at the top level of a module"),
        (holding(lambda x: x), r"0.held \(function\) cannot be pickled.*top level of a module"),
        (holding(threading.Lock()), r"0.held \(lock\) cannot be pickled.*__getstate__"),
        (
            nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)),
            r"the model is parametrized.*remove_parametrizations",
        ),
    ],
)
def test_what_cannot_be_pickled_is_named(tmp_path: Path, model: nn.Module, message: str) -> None:
    with pytest.raises(PackagingError, match=message):
        package(model.eval(), tmp_path / "m.pt")
    assert list(tmp_path.iterdir()) == []


def test_failure_leaves_the_older_archive(tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_text("older")
    with pytest.raises(PackagingError):
        package(locally_defined().eval(), tmp_path / "m.pt")
    assert (tmp_path / "m.pt").read_text() == "older"
    assert len(list(tmp_path.iterdir())) == 1


def test_name_that_no_server_can_use_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="name is 'my model'"):
        package(nn.ReLU().eval(), tmp_path / "my model.pt")


# Inspection --------------------------------------------------------------------------------


def test_inspect_tells_what_a_file_is(tmp_path: Path) -> None:
    from torch.package.package_exporter import PackageExporter

    with PackageExporter(str(tmp_path / "plain.pt")) as exporter:
        exporter.save_text("a", "b", "c")
    assert inspect_archive(tmp_path / "plain.pt") is None
    with pytest.raises(NotFoundError, match="no such file"):
        inspect_archive(tmp_path / "absent.pt")
    (tmp_path / "torn.pt").write_bytes((tmp_path / "plain.pt").read_bytes()[:100])
    with pytest.raises(DataLossError, match=r"torn.pt: no archive that a server runs"):
        inspect_archive(tmp_path / "torn.pt")
    with zipfile.ZipFile(tmp_path / "other.pt", "w") as other:
        other.writestr("x/y", "z")
    with pytest.raises(DataLossError, match="a zip file, but no archive"):
        inspect_archive(tmp_path / "other.pt")


def test_packaging_warns_of_nothing_else(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.simplefilter("error")
        package(own.Mlp().eval(), tmp_path / "m.pt", example_inputs=torch.ones(1, 8))
