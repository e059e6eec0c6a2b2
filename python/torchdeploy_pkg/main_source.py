"""The source of what a model uses of ``__main__``: a script, or the cells of a notebook."""

from __future__ import annotations

import ast
import builtins
import sys
from importlib.util import resolve_name
from pathlib import Path
from typing import TYPE_CHECKING

from torchdeploy_pkg.errors import PackagingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ADVICE = "move it, with what it uses, into a module (a .py file) and import it from there."
_DOING = (ast.Assign, ast.Expr)
_BINDING_BLOCKS = (ast.If, ast.Try, ast.With, ast.For)


def alias_of_main() -> str:
    """Name of the module that stands for ``__main__`` in an archive.

    Under ``python -m package.module`` it lies in that package, for relative imports.
    """
    parent = getattr(sys.modules["__main__"].__spec__, "parent", "") or ""
    return f"{parent}.torchdeploy_main" if parent else "torchdeploy_main"


def source_of_main(names: Iterable[str]) -> str:
    """The statements of ``__main__`` that define `names`, and all that these use.

    Operators that the script defines with torch.library are kept, too. Statements that only
    do something (training, the packaging itself) are left out, and so is what stands under
    ``if __name__ == "__main__":``.

    Raises:
        PackagingError: There is no source, or a name is not defined at its top level.
    """
    statements = [node for text in _texts() for node in _parse(text)]
    future = [node for node in statements if _is_future(node)]
    kept = _needed(statements, {name.partition(".")[0] for name in names})
    body = [*future, *(node for node in kept if node not in future)]
    return "".join(f"{ast.unparse(node)}\n\n" for node in body)


def _texts() -> list[str]:
    main = sys.modules["__main__"]
    cells = getattr(main, "In", None)
    if isinstance(cells, list):
        return [cell for cell in cells if isinstance(cell, str)]
    file = getattr(main, "__file__", None)
    if file is not None and Path(file).is_file():
        return [Path(file).read_text(encoding="utf-8")]
    msg = f"the model's class is defined in __main__, whose source cannot be found: {_ADVICE}"
    raise PackagingError(msg)


def _parse(text: str) -> list[ast.stmt]:
    try:
        return ast.parse(text).body
    except SyntaxError:
        # A cell that IPython refused, too: nothing of it was run.
        return []


def _needed(statements: list[ast.stmt], roots: set[str]) -> list[ast.stmt]:
    binders: dict[str, list[ast.stmt]] = {}
    for node in statements:
        for name in _bound_names(node):
            binders.setdefault(name, []).append(node)
    missing = sorted(roots - binders.keys())
    if missing:
        msg = f"{', '.join(missing)}: not defined at the top level of __main__; {_ADVICE}"
        raise PackagingError(msg)
    kept = _registrations(statements)
    open_names = sorted(roots.union(*(_used_names(node) for node in kept)))
    while open_names:
        for node in binders.get(open_names.pop(), ()):
            if node not in kept:
                kept.add(node)
                open_names.extend(_used_names(node))
    return [node for node in statements if node in kept]


def _registrations(statements: list[ast.stmt]) -> set[ast.stmt]:
    """Statements that define operators with torch.library, which the model calls by text."""
    names = {
        alias.asname or alias.name
        for node in statements
        if isinstance(node, ast.ImportFrom) and node.module in ("torch", "torch.library")
        for alias in node.names
        if node.module == "torch.library" or alias.name == "library"
    }
    found: set[ast.stmt] = set()
    for node in statements:
        doers = getattr(node, "decorator_list", [node] if isinstance(node, _DOING) else [])
        if any(_mentions_library(doer, names) for doer in doers):
            found.add(node)
            names.update(_bound_names(node))
    return found


def _mentions_library(node: ast.AST, names: set[str]) -> bool:
    return any(
        (isinstance(child, ast.Attribute) and ast.unparse(child) == "torch.library")
        or (isinstance(child, ast.Name) and child.id in names)
        for child in ast.walk(node)
    )


def _bound_names(node: ast.stmt) -> Iterator[str]:
    """Names that a statement gives a value to in the module."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
        yield from _exported_names(node)
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        for alias in node.names:
            yield alias.asname or alias.name.partition(".")[0]
    elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        yield from _stored_names(node)
    elif isinstance(node, _BINDING_BLOCKS) and not _is_main_guard(node):
        for statement in _statements_in(node):
            yield from _bound_names(statement)


def _exported_names(node: ast.ImportFrom) -> list[str]:
    """What ``from module import *`` binds; the script has imported the module already."""
    relative = "." * node.level + (node.module or "")
    package = getattr(sys.modules["__main__"].__spec__, "parent", None)
    module = sys.modules.get(resolve_name(relative, package))
    names = getattr(module, "__all__", None)
    return [name for name in dir(module) if not name.startswith("_")] if names is None else names


def _statements_in(node: ast.AST) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        elif isinstance(child, ast.ExceptHandler):
            yield from child.body


def _stored_names(node: ast.AST) -> Iterator[str]:
    for child in ast.walk(node):
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id


def _used_names(node: ast.AST) -> set[str]:
    used = {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}
    # Annotations may be written as text.
    for child in ast.walk(node):
        if isinstance(child, ast.Constant) and isinstance(child.value, str):
            used.update({child.value} if child.value.isidentifier() else ())
    return used - set(dir(builtins))


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and any(
        isinstance(child, ast.Name) and child.id == "__name__" for child in ast.walk(node.test)
    )
