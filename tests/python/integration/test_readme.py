"""What the README says to run, runs, and prints what it says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def shape_of(output: str) -> str:
    """The output with its figures made alike."""
    return re.sub(r"\d+(\.\d+)?(e[-+]\d+)?", "0", output)


def test_make_demo_prints_what_the_readme_shows() -> None:
    command, *shown = blocks("console")[0].strip().splitlines()
    assert command == "$ make demo"
    run = subprocess.run(["make", "demo"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    printed = [shape_of(line) for line in run.stdout.splitlines()]
    for line in shown:
        assert line == "..." or shape_of(line) in printed


def test_make_test_is_a_target() -> None:
    """It cannot be run from within itself."""
    assert blocks("console")[1].strip() == "$ make test"
    subprocess.run(["make", "--dry-run", "test"], cwd=ROOT, check=True, capture_output=True)


def test_the_python_example_prints_what_the_readme_shows(tmp_path: Path) -> None:
    (source,) = blocks("python")
    (tmp_path / "example.py").write_text(source)
    run = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == blocks("text")[0]


def test_every_file_that_the_readme_links_exists() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_commands_of_the_readme_exist() -> None:
    for name in re.findall(r"`torchdeploy (\w+)", README):
        program = shutil.which("torchdeploy", path=str(Path(sys.executable).parent))
        assert program is not None
        subprocess.run([program, name, "--help"], check=True, capture_output=True)
