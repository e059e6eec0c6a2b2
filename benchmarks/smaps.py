"""What the kernel says about the memory of this process, or of another one."""

from __future__ import annotations

import re
from pathlib import Path

_MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ (....) ")


def private_dirty_mb() -> float:
    """Memory that this process has written to and shares with none."""
    return _rollup("Private_Dirty")


def pss_mb(process: int | str = "self") -> float:
    """A process's share of memory: a page that n mappings hold counts 1/n in each."""
    return _rollup("Pss", process)


def resident_mb() -> float:
    """Memory of this process that is in RAM, shared or not."""
    return _rollup("Rss")


def private_code_mb() -> float:
    """Resident pages of executable mappings which no other mapping holds."""
    kb, is_code = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if mapping := _MAPPING.match(line):
            is_code = "x" in mapping[1]
        elif is_code and line.startswith("Private_"):
            kb += int(line.split()[1])
    return kb / 1024


def _rollup(name: str, process: int | str = "self") -> float:
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    message = f"/proc/{process}/smaps_rollup has no {name}"
    raise KeyError(message)
