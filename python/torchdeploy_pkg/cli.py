"""Command line: ``torchdeploy``."""

from __future__ import annotations

import importlib
import json
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from torchdeploy_pkg.bench.command import bench
from torchdeploy_pkg.errors import InvalidArgumentError, PackagingWarning, TorchDeployError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

    from torchdeploy_pkg.manifest import Manifest
    from torchdeploy_pkg.types import TensorSpec

_ERRORS = Console(stderr=True)
_SHOWN_ELEMENTS = 6


class _Group(click.Group):
    """Shows this package's errors as one message, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TorchDeployError as exc:
            raise click.ClickException(str(exc)) from exc


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="torchdeploy-pkg", prog_name="torchdeploy")
def main() -> None:
    """Package a PyTorch model, serve it from several interpreters, and ask it.

    \b
    A first round, with net.py in this folder:
      torchdeploy package net:build_model net.pt --example net:example
      torchdeploy inspect net.pt
      torchdeploy serve net.pt --interpreters 2
      torchdeploy infer localhost:8001 net --input x=@x.npy
    """


main.add_command(bench)


@main.command()
@click.argument("model")
@click.argument("archive", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--example", help="MODULE:NAME of the example inputs, or of a function giving them.")
@click.option("--handler", help="MODULE:CLASS with preprocess, inference and postprocess.")
@click.option("--method", "methods", multiple=True, help="NAME=MODULE:EXAMPLE. Repeatable.")
@click.option(
    "--engine",
    type=click.Choice(["eager", "torchscript", "aotinductor"]),
    default="eager",
    show_default=True,
    help="What runs it: Python, or one of two without.",
)
@click.option("--name", help="Name to serve under.  [default: the file's, without suffix]")
@click.option("--version", default="1", show_default=True, help="Version of the model.")
@click.option("--intern", multiple=True, help="Installed module whose code goes in. Repeatable.")
@click.option("--extern", multiple=True, help="Own module whose code stays out. Repeatable.")
def package(
    model: str,
    archive: Path,
    example: str | None,
    handler: str | None,
    methods: tuple[str, ...],
    engine: str,
    name: str | None,
    version: str,
    intern: tuple[str, ...],
    extern: tuple[str, ...],
) -> None:
    """Write MODEL with its code and weights into ARCHIVE.

    MODEL is MODULE:NAME, where NAME is a model, or a class or a function that gives one when
    called without arguments. Modules are looked for in this folder, too. The model is put
    into eval mode.

    The example inputs are what the model takes: a tuple by position, a dict by keyword,
    anything else as the only argument. Names, dtypes and shapes are learnt from them. With
    --method, requests may ask for that method of the model, too, which takes its EXAMPLE.

    \b
    Examples:
      torchdeploy package net:Net net.pt
      torchdeploy package net:build_model models/net/1/net.pt --name net --example net:example
      torchdeploy package net:model net.pt --handler net:TextHandler --example net:texts
      torchdeploy package net:model net.pt2 --engine aotinductor --example net:example
    """
    from torchdeploy_pkg.packager import package as write_archive

    sys.path.insert(0, str(Path.cwd()))
    with _ERRORS.status("Importing the model ..."):
        built = _built(_load(model))
        if callable(getattr(built, "eval", None)):
            built.eval()
        examples = None if example is None else _called(_load(example))
        handler_class = None if handler is None else _load(handler)
        method_examples = dict(_method_example(text) for text in methods)
    with _ERRORS.status("Running the example and writing the archive ..."):
        manifest = _noting_warnings(
            lambda: write_archive(
                built,
                archive,
                name=name,
                version=version,
                example_inputs=examples,
                handler=handler_class,
                methods=method_examples,
                engine=engine,
                intern=intern,
                extern=extern,
            )
        )
    size_mb = archive.stat().st_size / 1e6
    click.echo(f"{archive}: {manifest.name} version {manifest.version}, {size_mb:.1f} MB")
    _print_manifest(manifest)


@main.command()
@click.argument("archive", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def inspect(archive: Path, as_json: bool) -> None:
    """Print what ARCHIVE takes, gives and needs. None of its code is run.

    \b
    Examples:
      torchdeploy inspect net.pt
      torchdeploy inspect net.pt --json
    """
    from torchdeploy_pkg.archive import inspect_archive

    manifest = inspect_archive(archive)
    if manifest is None:
        click.echo("null" if as_json else f"{archive}: no manifest, so any inputs are taken")
    elif as_json:
        click.echo(manifest.to_json(), nl=False)
    else:
        click.echo(f"{archive}: {manifest.name} version {manifest.version}")
        _print_manifest(manifest)


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--interpreters", type=click.IntRange(min=1), help="[default: number of cores]")
@click.option("--port", type=click.IntRange(0, 65535), default=8001, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 for every address.")
@click.option("--intra-op-threads", type=click.IntRange(min=1), help="Threads within one call.")
@click.option("--pin-cores", is_flag=True, help="Keep each interpreter to cores of its own.")
@click.option(
    "--max-queue-size",
    type=click.IntRange(min=1),
    help="Requests of one model that may wait.  [default: 1000]",
)
@click.option(
    "--model-control",
    type=click.Choice(["none", "explicit", "poll"]),
    help="Serve all models to the end, those asked for, or what the folder has.  [default: none]",
)
@click.option("--load-model", multiple=True, help="With explicit: at the start. Repeatable.")
@click.option("--poll-interval-s", type=click.FloatRange(min=0.1), help="With poll.  [default: 15]")
@click.option(
    "--allow-shared-memory",
    is_flag=True,
    help="Let clients on this machine pass tensors in memory that they name.",
)
@click.option("--tls-cert", type=_FILE, help="The server's certificate: encrypt connections.")
@click.option("--tls-key", type=_FILE, help="Its key.")
@click.option("--tls-client-ca", type=_FILE, help="Ask clients for a certificate signed by these.")
@click.option("--tokens", type=_FILE, help="File with the tokens that clients must have.")
@click.option("--trusted-sha256", type=_FILE, help="Load archives with a SHA-256 in it alone.")
@click.option("--trusted-keys", type=_FILE, help="Load archives signed by these keys alone.")
@click.option(
    "--max-request-bytes", type=click.IntRange(1, 2**31 - 1), help="Refuse larger requests."
)
@click.option(
    "--max-bytes-in-flight",
    type=click.IntRange(min=0),
    help="Of all requests that are not answered.  [default: no limit]",
)
@click.option(
    "--metrics-port", type=click.IntRange(0, 65535), help="Serve Prometheus metrics there."
)
@click.option("--otlp-endpoint", help="Send traces there over gRPC: http://HOST:PORT, or https://.")
@click.option(
    "--trace-rate", type=click.IntRange(min=1), help="Trace one of as many.  [default: 1000]"
)
@click.option("--allow-settings", is_flag=True, help="Let clients change what is traced, logged.")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="[default: text]")
@click.option(
    "--drain-grace-s",
    type=click.FloatRange(0, 86400),
    help="Seconds that requests have to end on SIGTERM.  [default: 30]",
)
@click.option("--restart", is_flag=True, help="Start the server again when it dies.")
@click.option("--cache", type=click.Path(path_type=Path), help="Folder for private libraries.")
def serve(path: Path, restart: bool, **options: Any) -> None:
    """Serve PATH over gRPC (Open Inference Protocol) until Ctrl-C or SIGTERM.

    PATH is one archive, or a folder NAME/VERSION/*.pt or *.pt2. The interpreters use the
    packages of this Python. With --port 0 a free port is taken and printed.

    \b
    Examples:
      torchdeploy serve net.pt
      torchdeploy serve models/ --interpreters 4 --host 0.0.0.0 --port 8001
      torchdeploy serve models/ --restart --metrics-port 8002
    """
    from torchdeploy_pkg.server_process import server_command
    from torchdeploy_pkg.supervisor import supervise

    command = server_command(path, **options)
    if not restart:
        os.execv(command[0], command)
    if options["port"] == 0:
        msg = "--restart needs a --port other than 0: clients could not find the new server"
        raise click.UsageError(msg)
    sys.exit(supervise(command))


@main.command()
@click.argument("url")
@click.argument("model")
@click.option("--input", "inputs", multiple=True, help="NAME=@FILE.npy or NAME=JSON. Repeatable.")
@click.option("--output", "outputs", multiple=True, help="Name of an output.  [default: all]")
@click.option("--version", default="", help="Version of the model.  [default: the server's choice]")
@click.option("--method", default="", help="Method of the model.  [default: the model itself]")
@click.option(
    "--timeout", "timeout_s", type=float, default=60.0, show_default=True, help="Seconds."
)
@click.option("--tls-ca", type=_FILE, help="Who signed the server's certificate; connect with TLS.")
@click.option("--tls-cert", type=_FILE, help="Own certificate, for a server that asks for one.")
@click.option("--tls-key", type=_FILE, help="Its key.")
@click.option("--token", envvar="TORCHDEPLOY_TOKEN", help="With TLS.  [env: TORCHDEPLOY_TOKEN]")
@click.option("--json", "as_json", is_flag=True, help="Print every element, as JSON.")
def infer(
    url: str,
    model: str,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    version: str,
    method: str,
    timeout_s: float,
    tls_ca: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Ask MODEL on the server at URL (HOST:PORT) and print its outputs.

    A JSON value gets the dtype that the model declares.

    \b
    Examples:
      torchdeploy infer localhost:8001 net --input x=@x.npy
      torchdeploy infer localhost:8001 net --input 'x=[[1, 2, 3]]' --json
      torchdeploy infer localhost:8001 minilm --input 'text=["hello", "world"]'
    """
    from torchdeploy_pkg.client import Client, Tls

    tls = Tls(tls_ca, tls_cert, tls_key) if tls_ca or tls_cert else None
    with Client(url, tls=tls, token=token) as client:
        specs = {
            spec.name: spec
            for spec in client.metadata(model, version=version, timeout_s=timeout_s).inputs
        }
        values = dict(_input_value(text, specs) for text in inputs)
        answer = client.infer(
            model,
            values,
            version=version,
            outputs=outputs or None,
            method=method,
            timeout_s=timeout_s,
        )
    if as_json:
        click.echo(json.dumps({name: _as_json(array) for name, array in answer.items()}))
        return
    for name, array in answer.items():
        click.echo(f"{name}: {array.dtype.name} {list(array.shape)}\n{_as_text(array)}")


def _load(reference: str) -> Any:
    """The object that MODULE:NAME names."""
    module_name, _, name = reference.partition(":")
    if not module_name or not name:
        msg = f"{reference!r} is not MODULE:NAME"
        raise click.BadParameter(msg)
    try:
        value: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as exc:
        msg = f"{reference!r}: no module named {exc.name!r} here or in this Python"
        raise click.BadParameter(msg) from exc
    for part in name.split("."):
        if not hasattr(value, part):
            msg = f"{reference!r}: {module_name} has no {name!r}"
            raise click.BadParameter(msg)
        value = getattr(value, part)
    return value


def _method_example(text: str) -> tuple[str, Any]:
    name, _, reference = text.partition("=")
    if not name or not reference:
        msg = f"--method {text!r} is not NAME=MODULE:EXAMPLE"
        raise click.BadParameter(msg)
    return name, _called(_load(reference))


def _called(value: Any) -> Any:
    return value() if callable(value) else value


def _built(value: Any) -> Any:
    """A model as it is, or what its class or function gives."""
    from torch.nn import Module

    return value if isinstance(value, Module) else _called(value)


def _noting_warnings(write: Any) -> Manifest:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PackagingWarning)
        manifest: Manifest = write()
    for warning in caught:
        if issubclass(warning.category, PackagingWarning):
            _ERRORS.print(f"Warning: {warning.message}", style="yellow", highlight=False)
    return manifest


def _print_manifest(manifest: Manifest) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    _add_specs(table, "", manifest.inputs, manifest.outputs)
    for name, method in manifest.methods.items():
        _add_specs(table, f"{name}: ", method.inputs, method.outputs)
    batch = manifest.batch_dimension
    table.add_row("batch", "none" if batch is None else f"dimension {batch}", "", "")
    table.add_row("made with", f"Python {manifest.python}", f"torch {manifest.torch}", "")
    for name, version in manifest.distributions.items():
        table.add_row("needs", name, version, "")
    # Wide enough that nothing is cut, also where the output is no terminal.
    Console(width=max(Console().width, 120)).print(table)


def _add_specs(
    table: Table, prefix: str, inputs: Iterable[TensorSpec], outputs: Iterable[TensorSpec]
) -> None:
    for what, specs in (("input", inputs), ("output", outputs)):
        for spec in specs:
            table.add_row(prefix + what, spec.name, spec.datatype or "any type", _shape(spec))


def _shape(spec: TensorSpec) -> str:
    return "any shape" if spec.shape is None else str(list(spec.shape))


def _input_value(text: str, specs: dict[str, TensorSpec]) -> tuple[str, Any]:
    import numpy as np

    from torchdeploy_pkg.types import BYTES, NUMPY_OF_DATATYPE

    name, separator, value = text.partition("=")
    if not separator:
        msg = f"--input {text!r} is not NAME=@FILE.npy or NAME=JSON"
        raise InvalidArgumentError(msg)
    if value.startswith("@"):
        return name, np.load(Path(value[1:]), allow_pickle=False)
    try:
        parsed = json.loads(value)
    except ValueError as exc:
        msg = f"--input {name}: {value!r} is neither JSON nor @FILE.npy ({exc})"
        raise InvalidArgumentError(msg) from exc
    datatype = specs[name].datatype if name in specs else ""
    if datatype == BYTES or isinstance(parsed, str):
        return name, parsed
    dtype = None if datatype in ("", "BF16") else np.dtype(NUMPY_OF_DATATYPE[datatype])
    return name, np.asarray(parsed, dtype=dtype)


def _as_json(array: np.ndarray) -> Any:
    if array.dtype == object:
        return _decoded(array.tolist())
    return array.tolist()


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return value.decode("utf-8", "replace")


def _as_text(array: np.ndarray) -> str:
    import numpy as np

    if array.dtype == object:
        return "\n".join(_lines(array.reshape(-1)))
    return np.array2string(array, threshold=100, edgeitems=_SHOWN_ELEMENTS // 2)


def _lines(items: Iterable[bytes]) -> Iterable[str]:
    return (repr(_decoded(item)) for item in items)


if __name__ == "__main__":
    main()
