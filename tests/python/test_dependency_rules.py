"""What travels in the archive and what is expected where it is served."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import zipfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from torchdeploy_pkg import PackagingError, inspect_archive
from torchdeploy_pkg.dependency_rules import DependencyRules

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., subprocess.CompletedProcess[str]]

PACKAGE_ROOT = Path(__file__).parents[2] / "python"
PREFIX = f"import sys; sys.path.insert(0, {str(PACKAGE_ROOT)!r})\n"
READ = """
import sys, torch
from torch.package import PackageImporter
importer = PackageImporter(sys.argv[1])
x = torch.ones(2, 3)
print(importer.load_pickle("torchdeploy", "entry.pkl")(x=x)["output"].tolist())
assert importer.load_pickle("model", "model.pkl")(x).shape == (2, 3)
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


def check(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("module", "interned"),
    [
        ("sys", False),
        ("collections.abc", False),
        ("torch.nn", False),
        ("numpy.linalg", False),
        ("google.protobuf.descriptor", False),
        ("torchdeploy_pkg.client", False),
        ("no_such_module", False),
        ("own_models", True),
        ("architectures", True),
    ],
)
def test_own_code_is_interned_and_installed_code_extern(module: str, *, interned: bool) -> None:
    assert DependencyRules().is_interned(module) is interned


def test_user_has_the_last_word() -> None:
    rules = DependencyRules(intern=["numpy", "own_models.part"], extern=["own_models"])
    assert rules.is_interned("numpy.linalg")
    assert not rules.is_interned("own_models")
    assert rules.is_interned("own_models.part.deep")
    assert not rules.is_interned("own_models.partly")


def test_distributions_are_named_with_their_versions() -> None:
    modules = ["os", "torch.nn", "click.core", "google.protobuf.descriptor", "own_models"]
    assert DependencyRules().distributions_of(modules) == {
        "click": metadata.version("click"),
        "protobuf": metadata.version("protobuf"),
    }


def test_extension_module_of_no_distribution_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import _ctypes

    (tmp_path / Path(_ctypes.__file__).name.replace("_ctypes", "fast")).write_bytes(
        Path(_ctypes.__file__).read_bytes()
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PackagingError, match=r"fast is a compiled extension .*extern=\['fast'\]"):
        DependencyRules().is_interned("fast")


PROJECT = {
    "proj/__init__.py": "",
    "proj/constants.py": "SCALE = 3.0",
    "proj/layers/scale.py": """
        from __future__ import annotations
        from dataclasses import dataclass, field
        from typing import ClassVar
        from ..constants import SCALE

        @dataclass
        class Factor:
            kind: ClassVar[str] = "factor"
            value: float = field(default=SCALE)
    """,
    "proj/net.py": """
        import torch
        from proj.layers.scale import Factor

        class Net(torch.nn.Module):
            def forward(self, x):
                return x * Factor().value
    """,
    "make.py": """
        import torch
        from proj.net import Net
        from torchdeploy_pkg import package
        package(Net().eval(), "out/net.pt", example_inputs=torch.ones(2, 3))
    """,
}


def test_a_project_of_several_files_travels_whole(tmp_path: Path, run_python: Run) -> None:
    for name, text in PROJECT.items():
        write(tmp_path / name, text)
    write(tmp_path / "make.py", PREFIX + textwrap.dedent(PROJECT["make.py"]))
    check(run_python("make.py", cwd=tmp_path))
    read = write(tmp_path / "out" / "read.py", READ)
    assert check(run_python(read, "net.pt", cwd=tmp_path / "out")) == f"{[[3.0] * 3] * 2}\n"


def test_editable_install_is_interned(tmp_path: Path) -> None:
    """As pip install -e leaves it: metadata in site-packages, source elsewhere."""
    site = tmp_path / "site-packages"
    write(site / "edit-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: edit\nVersion: 1.0\n")
    write(site / "edit-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    write(site / "edit-1.0.dist-info/top_level.txt", "edited\n")
    write(site / "real-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: real\nVersion: 1.0\n")
    write(site / "real-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    write(site / "real-1.0.dist-info/top_level.txt", "really\n")
    write(site / "really.py", "")
    write(tmp_path / "source" / "edited.py", "")
    program = PREFIX + textwrap.dedent(f"""
        sys.path[:0] = [{str(tmp_path / "source")!r}, {str(site)!r}]
        from torchdeploy_pkg.dependency_rules import DependencyRules
        rules = DependencyRules()
        print(rules.is_interned("edited"), rules.is_interned("really"))
        print(rules.distributions_of(["really"]))
    """)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert check(done) == "True False\n{'real': '1.0'}\n"


SCRIPT = """
    from __future__ import annotations
    import math
    from dataclasses import dataclass
    import torch
    from torch import nn

    WIDTH = 3
    print("side effect")

    @dataclass
    class Settings:
        factor: float = 2.0

    def scaled(x):
        return x * math.sqrt(4.0)

    class Base(nn.Module):
        width = WIDTH

    class Net(Base):
        def __init__(self) -> None:
            super().__init__()
            self.settings = Settings()

        def forward(self, x):
            return scaled(x) * self.settings.factor

    class Unused(nn.Module):
        pass

    from torchdeploy_pkg import package
    package(Net().eval(), "out/net.pt", example_inputs=torch.ones(2, 3))
"""


def test_model_defined_in_a_script_travels_without_its_side_effects(
    tmp_path: Path, run_python: Run
) -> None:
    future, rest = textwrap.dedent(SCRIPT).strip().split("\n", 1)
    write(tmp_path / "script.py", f"{future}\n{PREFIX}{rest}")
    assert check(run_python("script.py", cwd=tmp_path)) == "side effect\n"
    read = write(tmp_path / "out" / "read.py", READ)
    assert check(run_python(read, "net.pt", cwd=tmp_path / "out")) == f"{[[4.0] * 3] * 2}\n"
    source = zipfile.ZipFile(tmp_path / "out/net.pt").read("net/torchdeploy_main.py").decode()
    assert "Unused" not in source
    assert "torchdeploy_pkg" not in source
    manifest = inspect_archive(tmp_path / "out/net.pt")
    assert manifest is not None
    assert manifest.distributions == {}


def test_model_defined_in_a_module_run_with_m_keeps_its_relative_imports(
    tmp_path: Path, run_python: Run
) -> None:
    write(tmp_path / "proj/__init__.py", "")
    write(tmp_path / "proj/scale.py", "SCALE = 3.0")
    body = """
        import torch
        from .scale import SCALE

        class Net(torch.nn.Module):
            def forward(self, x):
                return x * SCALE

        if __name__ == "__main__":
            from torchdeploy_pkg import package
            package(Net().eval(), "out/net.pt", example_inputs=torch.ones(2, 3))
    """
    write(tmp_path / "proj/make.py", PREFIX + textwrap.dedent(body))
    check(run_python("-m", "proj.make", cwd=tmp_path))
    read = write(tmp_path / "out" / "read.py", READ)
    assert check(run_python(read, "net.pt", cwd=tmp_path / "out")) == f"{[[3.0] * 3] * 2}\n"


def test_names_that_a_script_imports_with_a_star_travel(tmp_path: Path, run_python: Run) -> None:
    write(tmp_path / "common.py", "import torch\nSCALE = 3.0")
    write(tmp_path / "chosen.py", "__all__ = ['_shift']\n_shift = 1.0\nother = 2.0")
    body = """
        from common import *
        from chosen import *

        class Net(torch.nn.Module):
            def forward(self, x):
                return x * SCALE + _shift

        from torchdeploy_pkg import package
        package(Net().eval(), "out/net.pt", example_inputs=torch.ones(2, 3))
    """
    write(tmp_path / "script.py", PREFIX + textwrap.dedent(body))
    check(run_python("script.py", cwd=tmp_path))
    read = write(tmp_path / "out" / "read.py", READ)
    assert check(run_python(read, "net.pt", cwd=tmp_path / "out")) == f"{[[4.0] * 3] * 2}\n"


OPERATOR = """
    import torch

    @torch.library.custom_op("dependency_test::triple", mutates_args=())
    def triple(x: torch.Tensor) -> torch.Tensor:
        return 3 * x

    @triple.register_fake
    def _(x):
        return torch.empty_like(x)

    class Net(torch.nn.Module):
        def forward(self, x):
            return torch.ops.dependency_test.triple(x)

    from torchdeploy_pkg import package
    package(Net().eval(), "out/net.pt", example_inputs=torch.ones(2, 3))
"""


def test_operator_defined_in_a_script_travels(tmp_path: Path, run_python: Run) -> None:
    write(tmp_path / "script.py", PREFIX + textwrap.dedent(OPERATOR))
    check(run_python("script.py", cwd=tmp_path))
    read = write(tmp_path / "out" / "read.py", READ)
    assert check(run_python(read, "net.pt", cwd=tmp_path / "out")) == f"{[[3.0] * 3] * 2}\n"


CELLS = [
    "import torch\nfrom torch import nn",
    "FACTOR = 5.0\nclass Net(nn.Module):\n    def forward(self, x):\n        return x",
    "this is no python",
    "class Net(nn.Module):\n    def forward(self, x):\n        return x * FACTOR",
    (
        "from torchdeploy_pkg import package\n"
        "package(Net().eval(), 'out/net.pt', example_inputs=torch.ones(2, 3))"
    ),
]

# What IPython does: the cells are run in __main__, which has no file, and kept in In.
NOTEBOOK = """
import sys
main = sys.modules["__main__"]
del main.__file__
main.In = [""]
for cell in {cells!r}:
    main.In.append(cell)
    try:
        exec(compile(cell, "<ipython-input>", "exec"), vars(main))
    except SyntaxError:
        pass
"""


def test_model_defined_in_notebook_cells_travels(tmp_path: Path, run_python: Run) -> None:
    write(tmp_path / "notebook.py", PREFIX + NOTEBOOK.format(cells=CELLS))
    check(run_python("notebook.py", cwd=tmp_path))
    read = write(tmp_path / "out" / "read.py", READ)
    assert check(run_python(read, "net.pt", cwd=tmp_path / "out")) == f"{[[5.0] * 3] * 2}\n"


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["script.py"], "Net: not defined at the top level of __main__; move it"),
        (["-c", "exec(open('script.py').read())"], "whose source cannot be found: move it"),
    ],
)
def test_model_of_main_without_source_is_told_what_to_do(
    tmp_path: Path, run_python: Run, arguments: list[Any], advice: str
) -> None:
    body = """
        import torch
        if __name__ == "__main__":
            class Net(torch.nn.Module):
                def forward(self, x):
                    return x
            from torchdeploy_pkg import package
            package(Net().eval(), "net.pt")
    """
    write(tmp_path / "script.py", PREFIX + textwrap.dedent(body))
    done = run_python(*arguments, cwd=tmp_path)
    assert "PackagingError" in done.stderr
    assert advice in done.stderr
    assert not (tmp_path / "net.pt").exists()
