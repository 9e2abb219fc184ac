"""Finds the parts of a folder by the names of its files: `objectives/mlm.py` is an objective because it defines `mlm`.

A file that defines no public name equal to its own is a shared part, not an entry. From outside: `package.module:name`.
"""

import ast
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from pretune.core.errors import InputError, unknown


def entries(package: str) -> dict[str, str]:
    """Name -> first line of the docstring, for every entry of a package, without importing the files.

    An entry's name has hyphens where its file has underscores.
    """
    return dict(_entries(Path(str(import_module(package).__file__)).parent))


@cache
def _entries(folder: Path) -> dict[str, str]:
    """Read once a process: parsing a folder takes 40 ms, and a bundle asks for its family at every text."""
    found = {}
    for path in sorted(folder.glob("*.py")):
        if path.stem.startswith("_"):
            continue
        tree = ast.parse(path.read_text("utf-8"))
        if path.stem in _defined(tree):
            found[path.stem.replace("_", "-")] = (ast.get_docstring(tree) or "").split("\n")[0]
    return found


def _defined(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def find(package: str, kind: str, name: str) -> Any:
    """The object an entry's file defines, or `package.module:name` from outside. InputError for an unknown name."""
    if ":" in name:
        module, _, attribute = name.partition(":")
        try:
            return getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise InputError(f"{kind} {name!r} cannot be imported: {error}") from error
    known = entries(package)
    hyphened = name.replace("_", "-")
    if hyphened not in known:
        raise unknown(kind, name, known)
    stem = hyphened.replace("-", "_")
    return getattr(import_module(f"{package}.{stem}"), stem)
