"""Say, as one line of JSON, where a Python keeps what its interpreters are made of.

Run by the host as ``python -c SOURCE``. Imports nothing heavy: torch is only looked for.
"""

import importlib.metadata
import importlib.util
import json
import sys
import sysconfig
from pathlib import Path


def find_libpython():
    """Return the path of the shared libpython, or "" if there is none."""
    library_folder = Path(sysconfig.get_config_var("LIBDIR") or "")
    folders = [
        library_folder,
        library_folder / (sysconfig.get_config_var("MULTIARCH") or ""),
        Path(sys.base_prefix, "lib"),
        Path(sysconfig.get_config_var("LIBPL") or ""),
    ]
    # Debian's python3 is linked statically; its libpython is a package of its own.
    names = [
        sysconfig.get_config_var("INSTSONAME") or "",
        f"libpython{sys.version_info[0]}.{sys.version_info[1]}.so.1.0",
    ]
    for folder in folders:
        for name in names:
            if ".so" in name and (folder / name).is_file():
                return str((folder / name).resolve())
    return ""


def find_package_folder(name):
    """Return the folder of an installed package, or ""."""
    spec = importlib.util.find_spec(name)
    return str(Path(spec.origin).parent) if spec and spec.origin else ""


def find_version(name):
    """Return the version of an installed distribution, or ""."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


print(
    json.dumps(
        {
            "executable": sys.executable,
            "version": ".".join(map(str, sys.version_info[:3])),
            "libpython": find_libpython(),
            "torch_folder": find_package_folder("torch"),
            "torch_version": find_version("torch"),
            "torchdeploy_folder": find_package_folder("torchdeploy_pkg"),
        }
    )
)
