"""What the kernel says about the memory of processes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def pss_mb(process_ids: Iterable[int]) -> float:
    """Their share of memory, in MiB: a page that n mappings hold counts 1/n in each."""
    return sum(map(_pss_kb, process_ids)) / 1024


def _pss_kb(process_id: int) -> int:
    for line in Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    msg = f"the kernel does not say what process {process_id} takes of memory"
    raise OSError(msg)
