"""A virtual environment for each peer, made by the Python that ours was made by."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
REPOSITORY = FOLDER.parent.parent
PEERS = REPOSITORY / "build" / "peers"
INSTALL_TIMEOUT_S = 1800


def base_python() -> Path:
    """The Python that made this environment: all sides run on its libpython."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Path(sys.base_prefix) / "bin" / f"python{version}"


def python_of(name: str) -> Path:
    """The Python of a peer's environment."""
    return PEERS / name / "bin" / "python"


def install(name: str) -> None:
    """Make the environment of `requirements/NAME.txt`, unless it is newer than that file.

    Raises:
        RuntimeError: pip could not install it; its messages are in the text.
    """
    requirements = FOLDER / "requirements" / f"{name}.txt"
    stamp = PEERS / name / ".installed"
    if stamp.exists() and stamp.stat().st_mtime >= requirements.stat().st_mtime:
        return
    if not python_of(name).exists():
        _run(base_python(), "-m", "venv", PEERS / name)
    # torch alone comes first: no other package's wishes then bring another build of it.
    torch = next(
        line for line in requirements.read_text().splitlines() if line.startswith("torch==")
    )
    pip = (python_of(name), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    _run(*pip, torch)
    _run(*pip, "--requirement", requirements)
    stamp.touch()


def _run(*command: object) -> None:
    process = subprocess.run(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=INSTALL_TIMEOUT_S,
    )
    if process.returncode != 0:
        words = " ".join(map(str, command))
        msg = f"{words} ended with {process.returncode}:\n{process.stdout[-4000:]}"
        raise RuntimeError(msg)
