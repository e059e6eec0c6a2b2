"""Archives that need no Python where they run: TorchScript, and code of AOTInductor."""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
import warnings
import zipfile
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch._inductor.virtualized import V
from torch.export import Dim
from torch.fx.experimental import _config as config_of_shapes
from torch.utils._sympy.value_ranges import ValueRanges

from torchdeploy_pkg.call_template import CallTemplate, Wire, template_of_example
from torchdeploy_pkg.dependency_rules import version_without_local_part
from torchdeploy_pkg.errors import PackagingError, PackagingWarning
from torchdeploy_pkg.in_archive import entry
from torchdeploy_pkg.manifest import MANIFEST_RESOURCE, PACKAGE, Manifest
from torchdeploy_pkg.signature import check_dynamic, cloned, extended, learn, unharmed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_CHECKS_OF_COMPILED_CODE = "AOTI_RUNTIME_CHECK_INPUTS"
_LEAST_OF_COMPILER = 2
_TOLERANCE = 1e-3  # Or four units of the last place, of a dtype that is less precise.


def package_native(
    model: Callable[..., Any],
    path: Path,
    engine: str,
    name: str,
    version: str,
    example: Any,
    dynamic: Mapping[str, Sequence[int]] | None,
) -> Manifest:
    """Write `model` for `engine`, "torchscript" or "aotinductor", with a manifest.

    Inputs and outputs have the names that the eager archive of the model has. What it takes is
    learnt from what was written, since an extent may be fixed there that was free in the model.

    Raises:
        PackagingError: The engine cannot run the model; the message says why.
        InvalidArgumentError: The example holds what no input can be.
    """
    template = _template(model, example, engine)
    if dynamic is not None:
        check_dynamic(dynamic, template.values)
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        torch.no_grad(),
        _checked_inputs(),
        tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder,
    ):
        # torch names the records' folder for the file, and wants this suffix.
        aside = Path(folder) / f"{path.stem}.pt2"
        with unharmed(model) as subject:
            expected = _run_twice(_ByName(subject, template), template.values)
        with unharmed(model) as subject:
            module = _ByName(subject, template)
            if engine == "torchscript":
                written = _script(module, template.values, aside)
            else:
                free = _free_axes(model, template, dynamic)
                written = _compile(module, template.values, free, aside)
        found = _run_twice(written, template.values)
        _compare(engine, expected[0], found[0])
        _compare(f"{engine}, called a second time,", expected[1], found[1])
        by_name = template_of_example(written, dict(template.values))
        signature = learn(written, by_name, dynamic)
        manifest = Manifest(
            name=name,
            version=version,
            inputs=signature.inputs,
            outputs=signature.outputs,
            batch_dimension=signature.batch_dimension,
            python=platform.python_version(),
            torch=version_without_local_part(torch.__version__),
        )
        _add_extra_file(aside, f"{PACKAGE}/{MANIFEST_RESOURCE}", manifest.to_json())
        aside.replace(path)
    return manifest


class _ByName(torch.nn.Module):
    """The model as a served one is called: tensors by name in, a dict of tensors out."""

    def __init__(self, model: Callable[..., Any], template: CallTemplate) -> None:
        super().__init__()
        self.model = model
        self._template = template
        names = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in template.kinds]

        def forward(**inputs: torch.Tensor) -> dict[str, Any]:
            return self._call(inputs)

        # Export and trace take the names of inputs from here.
        forward.__signature__ = Signature(names)  # type: ignore[attr-defined]
        self.forward = forward

    def _call(self, inputs: dict[str, Any]) -> dict[str, Any]:
        args = entry.fill(self._template.args, inputs)
        kwargs = entry.fill(self._template.kwargs, inputs)
        return dict(entry.flatten(self.model(*args, **kwargs)))


def _template(model: Callable[..., Any], example: Any, engine: str) -> CallTemplate:
    if not isinstance(model, torch.nn.Module):
        msg = f"engine {engine!r} takes a torch.nn.Module, and this is a {type(model).__name__}"
        raise PackagingError(msg)
    if example is None:
        msg = f"engine {engine!r} needs example_inputs"
        raise PackagingError(msg)
    template = template_of_example(model, example)
    for name, kind in template.kinds.items():
        if kind != entry.TENSOR or not name.isidentifier():
            msg = (
                f"input {name!r} is no tensor that is an argument by itself, which is all that "
                f"engine {engine!r} takes: make it one, or leave it to its default"
            )
            raise PackagingError(msg)
    return template


def _run_twice(
    target: Callable[..., Any], values: Mapping[str, Wire]
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Twice, because a model may have a state, which an engine may not."""
    return _run(target, values), _run(target, values)


def _run(target: Callable[..., Any], values: Mapping[str, Wire]) -> dict[str, torch.Tensor]:
    try:
        parts = target(**cloned(dict(values)))
    except Exception as exc:
        msg = f"the model failed on example_inputs: {type(exc).__name__}: {exc}"
        raise PackagingError(msg) from exc
    for name, part in parts.items():
        if not isinstance(part, torch.Tensor):
            msg = (
                f"output {name!r} is a {type(part).__name__}; without Python a model gives tensors"
            )
            raise PackagingError(msg)
    return dict(parts)


def _compare(
    engine: str, expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor]
) -> None:
    for name, value in expected.items():
        other = found.get(name)
        if other is None or other.shape != value.shape or other.dtype != value.dtype:
            shown = "nothing" if other is None else f"{other.dtype} of shape {list(other.shape)}"
            msg = (
                f"engine {engine} gives {shown} as output {name!r}, and the model itself "
                f"{value.dtype} of shape {list(value.shape)}"
            )
            raise PackagingError(msg)
        is_real = value.is_floating_point()
        tolerance = _TOLERANCE if not is_real else max(_TOLERANCE, 4 * torch.finfo(value.dtype).eps)
        if not torch.allclose(
            other.double(), value.double(), rtol=tolerance, atol=tolerance, equal_nan=True
        ):
            msg = f"engine {engine} gives other values as output {name!r} than the model itself"
            raise PackagingError(msg)


def _script(module: _ByName, values: Mapping[str, Wire], path: Path) -> Callable[..., Any]:
    """The model scripted where TorchScript can, else traced, behind its names."""
    before = {name: tensor.clone() for name, tensor in _tensors(module).items()}
    with _own_deprecations_of_torch_ignored():
        try:
            module.model = torch.jit.script(module.model)
        except Exception as exc:  # noqa: BLE001 - of many kinds, for many reasons.
            reason = (str(exc).strip().splitlines() or [type(exc).__name__])[0]
            msg = (
                f"the model cannot be scripted ({reason}), so it is traced: whatever its inputs, "
                "it takes the branches that it takes on the example"
            )
            warnings.warn(msg, PackagingWarning, stacklevel=4)
        try:
            traced: torch.jit.ScriptModule = torch.jit.trace(  # type: ignore[no-untyped-call]
                module, example_kwarg_inputs=cloned(dict(values)), strict=False, check_trace=False
            )
            for name, tensor in _tensors(traced).items():  # The trace was a call.
                tensor.copy_(before[name])
            torch.jit.save(traced, str(path))
        except Exception as exc:
            msg = f"TorchScript cannot run the model: {exc}"
            raise PackagingError(msg) from exc
    return traced


def _tensors(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _compile(
    module: _ByName, values: Mapping[str, Wire], free: Mapping[str, list[int]], path: Path
) -> Callable[..., Any]:
    """The model compiled ahead of time; axes in `free` are free unless the code must fix them."""
    compiled = _compile_once(module, values, free, path, least={})
    wrong = _axes_of_other_answers(module, compiled, values, free)
    if wrong:
        msg = (
            f"compiled code gives other answers than the model for an extent of 1 in dimension "
            f"{', '.join(map(str, wrong))}, so it takes 2 and more there"
        )
        warnings.warn(msg, PackagingWarning, stacklevel=4)
        compiled = _compile_once(module, values, free, path, least=dict.fromkeys(wrong, 2))
    return compiled


def _compile_once(
    module: _ByName,
    values: Mapping[str, Wire],
    free: Mapping[str, list[int]],
    path: Path,
    *,
    least: Mapping[int, int],
) -> Callable[..., Any]:
    """Compile; in the dimensions of `least` no extent is less than that."""
    example, dynamic_shapes = {}, {}
    for name, value in values.items():
        dynamic_shapes[name] = {dim: Dim.AUTO(min=least.get(dim, 0)) for dim in free[name]}
        example[name] = value
        for dim in free[name]:
            # One row says nothing of others: it would be taken to be fixed.
            example[name] = extended(example[name], dim, max(2 - value.shape[dim], 0))
    try:
        # So that the code takes one row, too.
        sizes = config_of_shapes.patch(backed_size_oblivious=True)  # type: ignore[attr-defined]
        with sizes, _own_deprecations_of_torch_ignored():
            program = torch.export.export(module, (), example, dynamic_shapes=dynamic_shapes)
            _write_code(program, path)
            compiled: Callable[..., Any] = torch._inductor.aoti_load_package(str(path))
    except Exception as exc:
        msg = f"AOTInductor cannot compile the model: {exc}"
        raise PackagingError(msg) from exc
    return compiled


def _axes_of_other_answers(
    module: _ByName,
    compiled: Callable[..., Any],
    values: Mapping[str, Wire],
    free: Mapping[str, list[int]],
) -> list[int]:
    """The dimensions that take an extent of 1 and then make the code answer otherwise.

    The compiler sees two rows at least, and where a model asks for their number it takes the
    branch of two.
    """
    found = []
    for dim in sorted({dim for dims in free.values() for dim in dims}):
        cut = {
            name: value.narrow(dim, 0, 1) if dim in free[name] else value
            for name, value in values.items()
        }
        try:
            _compare("aotinductor", module(**cloned(cut)), compiled(**cloned(cut)))
        except PackagingError:
            found.append(dim)
        except Exception:  # noqa: BLE001 - one of them refuses it, so there is no other answer.
            continue
    return found


def _write_code(program: torch.export.ExportedProgram, path: Path) -> None:
    of_model = {symbol: extents.lower for symbol, extents in program.range_constraints.items()}

    def let_one_be_taken(nodes: list[Any]) -> list[Any]:
        """Take back that an extent is 2 at least, where only the compiler says so.

        It takes 1 to be unlike any other extent, and its code would then refuse 1, for which
        it nearly always is right; _axes_of_other_answers() finds out. What the model itself
        asks for stays.
        """
        known = V.graph.sizevars.shape_env.var_to_range
        for symbol, least in of_model.items():
            if symbol in known and least < _LEAST_OF_COMPILER == known[symbol].lower:
                known[symbol] = ValueRanges(least, known[symbol].upper)
        return nodes

    torch._inductor.aoti_compile_and_package(
        program,
        package_path=str(path),
        inductor_configs={
            # As many threads as the interpreter has, not as this process has now.
            "cpp.dynamic_threads": True,
            # No more instructions than the archive says that it needs.
            "cpp.march": "",
            # What runs between the choice of code and its writing.
            "_pre_fusion_custom_pass": let_one_be_taken,
        },
    )


def _add_extra_file(path: Path, name: str, text: str) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        root = archive.namelist()[0].split("/")[0]
        archive.writestr(f"{root}/extra/{name}", text)


def _free_axes(
    model: Callable[..., Any],
    template: CallTemplate,
    dynamic: Mapping[str, Sequence[int]] | None,
) -> dict[str, list[int]]:
    """The axes of each input whose extents the model itself lets free."""
    signature = learn(model, template, dynamic)
    return {
        spec.name: [dim for dim, extent in enumerate(spec.shape or ()) if extent == -1]
        for spec in signature.inputs
    }


@contextlib.contextmanager
def _own_deprecations_of_torch_ignored() -> Iterator[None]:
    with warnings.catch_warnings():
        for kind in (DeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", kind)
        yield


@contextlib.contextmanager
def _checked_inputs() -> Iterator[None]:
    """Compiled code that is called first in here refuses inputs it was not compiled for."""
    before = os.environ.get(_CHECKS_OF_COMPILED_CODE)
    os.environ[_CHECKS_OF_COMPILED_CODE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CHECKS_OF_COMPILED_CODE]
        else:
            os.environ[_CHECKS_OF_COMPILED_CODE] = before
