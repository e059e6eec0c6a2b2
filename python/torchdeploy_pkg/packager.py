"""Packaging: a model in, an archive that a server runs out."""

from __future__ import annotations

import platform
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from torchdeploy_pkg.call_template import (
    CallTemplate,
    by_name,
    template_of_example,
    template_of_signature,
)
from torchdeploy_pkg.dependency_rules import DependencyRules, version_without_local_part
from torchdeploy_pkg.errors import InvalidArgumentError, PackagingError, PackagingWarning
from torchdeploy_pkg.exporter import ModelExporter
from torchdeploy_pkg.in_archive import entry, streams
from torchdeploy_pkg.in_archive.handlers import HandlerTarget
from torchdeploy_pkg.in_archive.torchserve import TorchServeTarget
from torchdeploy_pkg.manifest import (
    ENTRY_RESOURCE,
    EXAMPLE_RESOURCE,
    MANIFEST_RESOURCE,
    PACKAGE,
    Manifest,
    Method,
    PickleName,
)
from torchdeploy_pkg.native_archive import package_native
from torchdeploy_pkg.signature import Signature, check_dynamic, cloned, learn
from torchdeploy_pkg.types import BYTES, TensorSpec
from torchdeploy_pkg.unpicklable import explain_unpicklable

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence


def package(
    model: Callable[..., Any],
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    version: str = "1",
    example_inputs: Any = None,
    dynamic: Mapping[str, Sequence[int]] | None = None,
    handler: Any = None,
    methods: Mapping[str, Any] | None = None,
    engine: str = "eager",
    resource: tuple[str, str] = ("model", "model.pkl"),
    intern: Iterable[str] = (),
    extern: Iterable[str] = (),
) -> Manifest:
    """Write a model with its code and weights into one archive that a server can run.

    The archive is a plain torch.package file: the model's own code is inside, installed
    packages (torch, transformers, ...) are expected where it is served, and
    ``torch.package.PackageImporter(path).load_pickle("model", "model.pkl")`` gives the
    model back. It is written aside and renamed: a failure leaves no archive.

    Args:
        model: A module, or any callable that can be pickled. It is served in the mode,
            train or eval, that it is in, and is not changed.
        path: Where the archive goes, usually ``NAME.pt``.
        name: Name under which it is served; by default the file's, without its suffix.
        version: Its version, such as ``"1"``.
        example_inputs: Values that the model takes: a tuple by position, a dict by keyword,
            anything else as the only argument. Tensors, numpy arrays, numbers, text, and
            lists, tuples and dicts of these; ``None`` stays ``None``. The model is run on
            them to learn the names, dtypes and shapes of inputs and outputs, and again with
            other extents to learn which are free. Without an example every input is of any
            type and shape. A model that yields (a generator, or an asynchronous one) is known
            by its example: each item is then an answer.
        dynamic: The free dimensions of each input, such as ``{"input_ids": [0, 1]}``, when
            what is learnt is not what you want; ``{}`` for none.
        handler: A class, or an object, with any of ``preprocess(inputs)``,
            ``inference(data)`` and ``postprocess(result)``. `inputs` is a dict by name. A class
            is made once in each interpreter, as ``handler(model)``, or ``handler()`` if it takes
            no argument. A TorchServe handler class works, too: see docs/manifest.md.
        methods: Other methods of the model that requests may ask for, such as
            ``{"encode": x}``: by name, values that each takes, as `example_inputs`.
        engine: What runs the model. ``"eager"``: Python, as it is written. ``"torchscript"``
            and ``"aotinductor"``: no Python; the model, a module whose inputs and outputs are
            tensors, is scripted (or traced, where it cannot be), or compiled for processors like
            this one. Both need `example_inputs`, take none of `handler`, `methods`, `intern` and
            `extern`, and have no use for `resource`. See docs/engines.md.
        resource: Package and resource name of the model's pickle.
        intern: Modules whose code goes into the archive though they are installed.
        extern: Modules whose code stays out though they are not installed.

    Returns:
        The manifest that the archive holds.

    Raises:
        PackagingError: The model cannot be packaged; the message says what to do.
        InvalidArgumentError: An argument is not what is expected.
    """
    path = Path(path)
    name = path.stem if name is None else name
    Manifest(name=name, version=version)  # Fails before the model is run.
    if getattr(model, "training", False):
        msg = "the model is in training mode and will be served so; call model.eval() first"
        warnings.warn(msg, PackagingWarning, stacklevel=2)
    if engine != "eager":
        refused = {"handler": handler, "methods": methods, "intern": intern, "extern": extern}
        _check_native(engine, refused)
        return package_native(model, path, engine, name, version, example_inputs, dynamic)
    target, template, signature = _plan(model, name, handler, example_inputs, dynamic)
    outputs = {spec.name: spec.datatype for spec in signature.outputs} or None
    entry_type = streams.StreamEntry if signature.yields else entry.Entry
    rules = DependencyRules(intern, extern)
    served = entry_type(target, template.args, template.kwargs, outputs)
    signatures = _add_methods(served, model, methods or {}, handler=handler)
    pickles = {resource: model, (PACKAGE, ENTRY_RESOURCE): served}
    example = PickleName(PACKAGE, EXAMPLE_RESOURCE) if template.values else None
    if example is not None:
        pickles[example.package, example.resource] = cloned(template.values)

    def describe(extern_modules: list[str]) -> Manifest:
        return Manifest(
            name=name,
            version=version,
            inputs=signature.inputs,
            outputs=signature.outputs,
            batch_dimension=signature.batch_dimension,
            yields=signature.yields,
            methods=signatures,
            python=platform.python_version(),
            torch=version_without_local_part(torch.__version__),
            distributions=rules.distributions_of(extern_modules),
            example=example,
        )

    return _write(path, rules, pickles, describe)


def _check_native(engine: str, refused: Mapping[str, Any]) -> None:
    if engine not in ("torchscript", "aotinductor"):
        msg = f"engine is {engine!r}; expected 'eager', 'torchscript' or 'aotinductor'"
        raise InvalidArgumentError(msg)
    given = [name for name, value in refused.items() if value]
    if given:
        msg = f"{', '.join(given)}: for engine 'eager' only, since {engine!r} runs no Python"
        raise InvalidArgumentError(msg)


def _add_methods(
    served: entry.Entry, model: Callable[..., Any], examples: Mapping[str, Any], *, handler: Any
) -> dict[str, Method]:
    """Give the entry of the model those of its methods."""
    if examples and handler is not None:
        msg = "a handler is called as a whole: give methods, or a handler"
        raise PackagingError(msg)
    signatures = {}
    for name, example in examples.items():
        method = getattr(model, name, None)
        if not callable(method):
            msg = f"methods has {name!r}, which is no method of {type(model).__name__}"
            raise PackagingError(msg)
        _, template, signature = _plan(method, name, None, example, None)
        if signature.yields:
            msg = f"method {name!r} yields, which only the model itself can be served with"
            raise PackagingError(msg)
        outputs = {spec.name: spec.datatype for spec in signature.outputs} or None
        its_entry = entry.Entry(model, template.args, template.kwargs, outputs, name)
        setattr(served, entry.METHOD_PREFIX + name, its_entry)
        signatures[name] = Method(signature.inputs, signature.outputs)
    return signatures


def _plan(
    model: Callable[..., Any],
    name: str,
    handler: Any,
    example: Any,
    dynamic: Mapping[str, Sequence[int]] | None,
) -> tuple[Callable[..., Any], CallTemplate, Signature]:
    """What the entry calls, how, and what that takes and gives."""
    target: Callable[..., Any]
    if _is_torchserve(handler):
        target = _torchserve_target(model, handler, name)
        if example is None:
            return target, _TORCHSERVE_TEMPLATE, _TORCHSERVE_SIGNATURE
        template = by_name(template_of_example(target, example), target)
    elif handler is not None:
        target = HandlerTarget(model, handler)
        template = _handler_template(model, handler, example)
    else:
        target = model
        template = (
            template_of_signature(model) if example is None else template_of_example(model, example)
        )
    if example is None:
        specs = tuple(TensorSpec(name, "", None) for name in template.kinds)
        return target, template, Signature(specs, (), None)
    if dynamic is not None:
        check_dynamic(dynamic, template.values)
    return target, template, learn(target, template, dynamic)


def _handler_template(model: Callable[..., Any], handler: Any, example: Any) -> CallTemplate:
    if not hasattr(handler, "preprocess"):
        shown = (
            template_of_signature(model) if example is None else template_of_example(model, example)
        )
        return by_name(shown, model)
    if not isinstance(example, dict):
        msg = (
            "a handler with preprocess needs example_inputs as a dict, "
            'such as {"text": ["hello"]}: its keys name the inputs'
        )
        raise PackagingError(msg)
    return by_name(template_of_example(model, example), model)


def _is_torchserve(handler: Any) -> bool:
    return (
        isinstance(handler, type) and hasattr(handler, "initialize") and hasattr(handler, "handle")
    )


def _torchserve_target(model: Any, handler: type, name: str) -> TorchServeTarget:
    try:
        return TorchServeTarget(model, handler, name)
    except Exception as exc:
        msg = (
            f"{handler.__name__}.initialize() failed: {type(exc).__name__}: {exc}. An archive has "
            "no model_dir with files: take weights from self.model, which is set before "
            "initialize(), and keep other data in the code or in the model."
        )
        raise PackagingError(msg) from exc


_TORCHSERVE_TEMPLATE = CallTemplate(
    ({"data": entry.Leaf("data", entry.BYTESTRINGS)},), {}, {"data": entry.BYTESTRINGS}, {}
)
_TORCHSERVE_SIGNATURE = Signature(
    (TensorSpec("data", BYTES, (-1,)),), (TensorSpec("output", BYTES, (-1,)),), 0
)


def _write(
    path: Path,
    rules: DependencyRules,
    pickles: dict[tuple[str, str], Any],
    describe: Callable[[list[str]], Manifest],
) -> Manifest:
    """Write aside, in a folder beside the target, and rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        # torch names the records' folder for the file: so it is called what it will be.
        aside = Path(folder) / path.name
        with ModelExporter(str(aside), rules) as exporter:
            for (package_name, resource), obj in pickles.items():
                _save_pickle(exporter, package_name, resource, obj)
            exporter.save_main()
            exporter.check()
            manifest = describe(exporter.externed_modules())
            exporter.save_text(PACKAGE, MANIFEST_RESOURCE, manifest.to_json())
        aside.replace(path)
    return manifest


def _save_pickle(exporter: ModelExporter, package_name: str, resource: str, obj: Any) -> None:
    try:
        with warnings.catch_warnings():
            # torch.package's own use of TypedStorage.
            warnings.filterwarnings("ignore", "TypedStorage is deprecated", UserWarning)
            exporter.save_pickle(package_name, resource, obj)
    except PackagingError:
        raise
    except Exception as exc:
        if isinstance(obj, torch.jit.ScriptModule):
            msg = "a TorchScript module cannot be packaged: give the eager module instead"
            raise PackagingError(msg) from exc
        raise PackagingError(explain_unpicklable(obj, exc)) from exc
