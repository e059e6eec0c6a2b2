"""What the kernel says about the memory of processes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torchdeploy_pkg.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Iterable


def pss_mb(process_ids: Iterable[int]) -> float:
    """Their share of memory, in MiB: a page that n mappings hold counts 1/n in each.

    Raises:
        InternalError: The kernel does not say it, or one of them has ended.
    """
    return sum(map(_pss_kb, process_ids)) / 1024


def _pss_kb(process_id: int) -> int:
    try:
        lines = Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration) as exc:
        msg = f"the kernel does not say what process {process_id} takes of memory: {exc!r}"
        raise InternalError(msg) from exc
