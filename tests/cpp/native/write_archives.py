"""Write the archives of the native engine's tests: write_archives.py FOLDER."""

from __future__ import annotations

import collections
import sys
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.package.package_exporter import PackageExporter

LAST_WORDS = """
import atexit, os

def model():
    atexit.register(os.write, 2, b"last words")
"""


class Scaled(torch.nn.Module):
    """A linear layer of known weights, and other methods."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(2, 1, bias=False)
        self.linear.weight.data = torch.tensor([[1.0, 10.0]])
        self.label = "scaled"
        self.calls = 0

    def forward(self, x: torch.Tensor, factor: float = 1.0) -> torch.Tensor:
        return self.linear(x) * factor

    @torch.jit.export
    def both(self, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return x + 1, {"twice": x * 2}

    @torch.jit.export
    def fail(self, message: str) -> torch.Tensor:
        raise ValueError(message)

    @torch.jit.export
    def weight(self) -> torch.Tensor:
        return self.linear.weight

    @torch.jit.export
    def count(self) -> int:
        self.calls += 1
        return self.calls

    @torch.jit.export
    def is_inferring(self, x: torch.Tensor) -> bool:
        return (x + 1).is_inference()

    @torch.jit.export
    def needs_grad(self, x: torch.Tensor) -> bool:
        return (self.linear.weight * x).requires_grad


class Endless(torch.nn.Module):
    """Takes as long as it is told."""

    def forward(self, seconds: float) -> int:
        rounds = 0
        while torch.rand(1).item() < 2.0 and rounds < seconds * 100000:
            rounds += 1
        return rounds


class Pair(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


class Kinds(torch.nn.Module):
    """What enters and leaves, of every kind that TorchScript has."""

    def forward(self, texts: list[str]) -> list[str]:
        return [text.upper() for text in texts]

    @torch.jit.export
    def numbers(self, count: int, rate: float, flag: bool, counts: list[int]) -> float:
        return count * rate + sum(counts) if flag else 0.0

    @torch.jit.export
    def total(self, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
        total = torch.zeros(1)
        for key, tensor in tensors.items():
            total = total + tensor * len(key)
        return total

    @torch.jit.export
    def swapped(self, pair: Pair) -> Pair:
        return Pair(pair.second, pair.first)

    @torch.jit.export
    def maybe(self, x: torch.Tensor | None) -> bool:
        return x is not None

    @torch.jit.export
    def half(self, x: torch.Tensor) -> torch.Tensor:
        return x.to(torch.bfloat16)

    @torch.jit.export
    def wide(self, x: torch.Tensor) -> torch.Tensor:
        return x.to(torch.uint16)

    @torch.jit.export
    def place(self, x: torch.Tensor) -> torch.device:
        return x.device


class First(torch.nn.Module):
    """Gives a view of its input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[0]


class Branches(torch.nn.Module):
    """A linear layer of known weights that is compiled; with nested values."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(2, 1, bias=False)
        self.linear.weight.data = torch.tensor([[1.0, 10.0]])

    def forward(
        self,
        x: torch.Tensor,
        shifts: dict[str, torch.Tensor],
        label: str | None = None,  # noqa: ARG002 - An argument that is None when it is compiled.
    ) -> dict[str, object]:
        shifted = x + shifts["up"] - shifts["down"]
        return {"y": self.linear(shifted), "parts": (x * 2, [x.sum(), shifted]), "none": None}


class Sum(torch.nn.Module):
    """Two tensors whose rows must be equal in number; by a class of no known kind."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> dict[int, torch.Tensor]:
        return collections.defaultdict(list, {7: x * 2 + y})


class Weight(torch.nn.Module):
    """Gives its weight, large enough to be seen in memory, and its input."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.arange(1000000.0))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.weight, self.weight[:3], x


def compile_to(
    path: Path, model: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], rows: Any
) -> None:
    # So that one row is as good as any number.
    with torch.no_grad(), torch.fx.experimental._config.patch(backed_size_oblivious=True):
        exported = torch.export.export(model, args, kwargs, dynamic_shapes=rows)
        torch._inductor.aoti_compile_and_package(exported, package_path=str(path))


def write_compiled(folder: Path) -> None:
    x, one = torch.ones(3, 2), torch.ones(2)
    free = {0: torch.export.Dim.AUTO}
    shifts = {"up": one, "down": one.clone()}  # One tensor for both would be one input.
    fixed = {"up": None, "down": None}
    compile_to(
        folder / "branches.pt2", Branches(), (x,), {"shifts": shifts}, {"x": free, "shifts": fixed}
    )
    compile_to(
        folder / "label.pt2",
        Branches(),
        (x,),
        {"label": None, "shifts": shifts},
        {"x": free, "label": None, "shifts": fixed},
    )
    compile_to(folder / "sum.pt2", Sum(), (x, x.clone()), {}, {"x": free, "y": free})
    compile_to(folder / "weight.pt2", Weight(), (one,), {}, None)
    torch.export.save(torch.export.export(Weight(), (one,)), str(folder / "exported.pt2"))
    rewrite_metadata(folder / "branches.pt2", folder / "elsewhere.pt2")


def rewrite_metadata(source: Path, path: Path) -> None:
    """Write a copy that says that it was compiled for a GPU."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for record in old.namelist():
            text = old.read(record)
            if record.endswith("_metadata.json"):
                text = text.replace(b'"cpu"', b'"cuda"')
            new.writestr(record, text)


def write_last_words(path: Path) -> None:
    """An archive of Python code that has something to say when its interpreter ends."""
    with PackageExporter(str(path)) as exporter:
        exporter.extern(["atexit", "os"])
        exporter.save_source_string("words", LAST_WORDS)
        exporter.save_binary("model", "model.pkl", b"cwords\nmodel\n.")


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.jit.script(Scaled()).save(str(folder / "scaled.pt"))
    torch.jit.script(Kinds()).save(str(folder / "kinds.pt"))
    torch.jit.script(First()).save(str(folder / "first.pt"))
    torch.jit.script(Endless()).save(str(folder / "endless.pt"))
    write_last_words(folder / "last_words.pt")
    big = torch.nn.Linear(2000, 2000)
    torch.jit.trace(big, torch.zeros(1, 2000)).save(str(folder / "big.pt"))
    torch.save(torch.zeros(2), folder / "tensor.pt")
    write_compiled(folder)


if __name__ == "__main__":
    main()
