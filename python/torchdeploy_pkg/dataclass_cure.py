"""Lets modules with dataclasses and postponed annotations be imported from an archive.

With ``from __future__ import annotations`` a dataclass looks up its module in sys.modules,
where torch.package does not put it (seen with torch 2.13: AttributeError in
dataclasses._is_type). The cure is written on the line of the future import, so that line
numbers in tracebacks stay the user's.
"""

from __future__ import annotations

import ast

# Import statements, not __import__ calls: torch.package's scan for dependencies must see them.
_CURE = (
    "; import sys as _sys, torch_package_importer as _importer"
    "; _sys.modules.setdefault(__name__, _importer.modules[__spec__.name])"
    "; del _sys, _importer"
)


def with_module_registered(source: str) -> str:
    """The source, which registers itself if it needs to be."""
    if "dataclass" not in source or "__future__" not in source:
        return source
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return source
    imports = [
        node
        for node in body
        if isinstance(node, ast.ImportFrom)
        and node.module == "__future__"
        and any(alias.name == "annotations" for alias in node.names)
    ]
    futures = [n for n in body if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
    if not imports:
        return source
    last = futures[-1]
    lines = source.splitlines(keepends=True)
    row = (last.end_lineno or last.lineno) - 1
    # ast counts bytes of UTF-8, and a future import is ASCII.
    column = last.end_col_offset or 0
    lines[row] = lines[row][:column] + _CURE + lines[row][column:]
    return "".join(lines)
