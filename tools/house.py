"""The rules of the house, read from syntax trees: who imports whom, what is never imported, how files are laid out.

    python tools/house.py [src/pretune]        prints each breach as file:line: what; exit status 1 if there are any

`tests/test_house.py` runs the same functions, and shows of each that it finds a planted breach. A rule is a function
from a House to breaches, listed in RULES. Imports inside functions count, and so do modules named by text in a call
(`import_module("pretune.nn")`); only "imports no torch" looks at module level alone, because a late import is its cure.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

RANKS = {
    **dict.fromkeys(["core"], 0),
    **dict.fromkeys(["text", "nn", "metrics"], 1),
    **dict.fromkeys(["tokenizers", "objectives", "families"], 2),
    **dict.fromkeys(["corpus", "checkpoint", "decode"], 3),
    **dict.fromkeys(["train", "adapt"], 4),
    **dict.fromkeys(["tasks"], 5),
    **dict.fromkeys(["evaluate"], 6),
    **dict.fromkeys(["compress", "analyse", "serve"], 7),
    **dict.fromkeys(["recipes"], 8),
    **dict.fromkeys(["verbs"], 9),
    **dict.fromkeys(["cli"], 10),
}
FACE_RANK = 11
"""The package's own __init__.py: it may offer everything, and nothing inside imports it."""

TORCH_FREE_FOLDERS = ("text", "tokenizers", "metrics")
TORCH_FREE_FILES = (
    "errors",
    "config",
    "strict_json",
    "strict_yaml",
    "lock",
    "processes",
    "vocab",
    "marks",
    "registry",
    "randomness",
)
BRING_TORCH = ("torch", "safetensors.torch", "transformers", "accelerate", "sentence_transformers")
PICKLERS = ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve")
READS_PICKLES = "checkpoint.pickled"
"""The one module that may call torch.load, and only with weights_only=True."""
MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 60


@dataclass(frozen=True)
class Breach:
    path: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


@dataclass(frozen=True)
class Import:
    """One imported module, as written: `from a.b import c` gives `a.b.c` (a module or a name of one)."""

    target: str
    line: int
    at_module_level: bool
    by_text: bool = False


@dataclass(frozen=True)
class File:
    path: Path
    module: str
    text: str
    tree: ast.Module
    imports: list[Import]

    @property
    def folder(self) -> str:
        """The folder under the package: `nn` of `pretune.nn.kernels.x`; empty for the package's own files."""
        parts = self.module.split(".")
        return parts[1] if len(parts) > 2 or (len(parts) == 2 and self.path.name == "__init__.py") else ""


@dataclass(frozen=True)
class House:
    """All Python files under the package folder `root`, whose name is the package's."""

    root: Path

    @property
    def package(self) -> str:
        return self.root.name

    @cached_property
    def files(self) -> dict[str, File]:
        found = {}
        for path in sorted(self.root.rglob("*.py")):
            parts = [self.package, *path.relative_to(self.root).with_suffix("").parts]
            if parts[-1] == "__init__":
                parts.pop()
            module, text = ".".join(parts), path.read_text("utf-8")
            tree = ast.parse(text, str(path))
            found[module] = File(path, module, text, tree, list(imports_of(tree, module, path.name == "__init__.py")))
        return found

    def resolve(self, target: str) -> str | None:
        """The file an import reaches: itself or the longest leading part that is one; None for other packages."""
        parts = target.split(".")
        if parts[0] != self.package:
            return None
        while parts and ".".join(parts) not in self.files:
            parts.pop()
        return ".".join(parts) or None


def imports_of(tree: ast.Module, module: str, is_package: bool) -> Iterator[Import]:
    """Every import of a file, relative ones made absolute, and modules named by text in import-like calls."""
    for node, at_top in _walk(tree, True):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, at_top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, is_package)
            yield from (Import(f"{base}.{alias.name}", node.lineno, at_top) for alias in node.names)
        elif isinstance(node, ast.Call):
            texts = [part.value for part in node.args if isinstance(part, ast.Constant) and isinstance(part.value, str)]
            names = [text for text in texts if re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*(:\w+)?", text)]
            if names and (_called(node) in IMPORTERS or names[0].startswith(module.split(".")[0] + ".")):
                yield Import(names[0].replace(":", "."), node.lineno, at_top, by_text=True)


IMPORTERS = ("import_module", "__import__", "need_extra", "find_spec")


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _walk(node: ast.AST, at_top: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Every node and whether it runs when the module is imported."""
    for child in ast.iter_child_nodes(node):
        later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        only_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        yield child, at_top
        yield from _walk(child, at_top and not later and not only_types)


def _absolute(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    base = parts[: len(parts) - node.level + is_package]
    return ".".join([*base, node.module] if node.module else base)


def ranks(house: House) -> Iterator[Breach]:
    """A folder imports itself and folders of a strictly lower rank."""
    for file in house.files.values():
        if file.folder and file.folder not in RANKS:
            yield Breach(file.path, 1, f"folder {file.folder}/ has no rank: a new folder is a change of the design")
            continue
        own = RANKS[file.folder] if file.folder else FACE_RANK
        for one in file.imports:
            package, _, inner = one.target.partition(".")
            other = inner.split(".")[0]
            if package != house.package or other == file.folder:
                continue
            rank = RANKS.get(other, FACE_RANK)
            if rank >= own and file.folder:
                what = f"{file.folder} (rank {own}) imports {one.target} (rank {rank})"
                yield Breach(file.path, one.line, what)


def cycles(house: House) -> Iterator[Breach]:
    """No file reaches itself by imports. Each cycle is told once, from its first file by name."""
    graph = {
        name: sorted({r for one in file.imports if not one.by_text and (r := house.resolve(one.target))} - {name})
        for name, file in house.files.items()
    }
    told: set[str] = set()
    for start in sorted(graph):
        path = None if start in told else _way(graph, start)
        if path:
            told |= set(path)
            yield Breach(house.files[start].path, 1, f"import cycle: {' -> '.join(path)}")


def _way(graph: dict[str, list[str]], start: str) -> list[str] | None:
    """The shortest way from a file back to itself."""
    queue, seen = [[start]], set()
    for path in queue:
        for following in graph[path[-1]]:
            if following == start:
                return [*path, start]
            if following not in seen:
                seen.add(following)
                queue.append([*path, following])
    return None


def torch_free(house: House) -> Iterator[Breach]:
    """What must start at once imports no torch, by whatever chain of imports at module level."""
    for name in torch_free_modules(house):
        chain = _chain_to_torch(house, name)
        if chain:
            yield Breach(house.files[name].path, 1, f"must import no torch, but does: {' -> '.join(chain)}")


def torch_free_modules(house: House) -> list[str]:
    """The names of the modules that `torch_free` guards."""
    return [
        name
        for name, file in house.files.items()
        if file.folder in TORCH_FREE_FOLDERS or (file.folder == "core" and name.split(".")[-1] in TORCH_FREE_FILES)
    ]


def _chain_to_torch(house: House, start: str) -> list[str] | None:
    queue, seen = [[start]], {start}
    for path in queue:
        following = [".".join(path[-1].split(".")[:depth]) for depth in range(1, path[-1].count(".") + 1)]
        for one in house.files[path[-1]].imports:
            if one.at_module_level and _within(one.target, BRING_TORCH):
                return [*path, one.target]
            if one.at_module_level and not one.by_text and (reached := house.resolve(one.target)):
                following.append(reached)
        for name in following:
            if name in house.files and name not in seen:
                seen.add(name)
                queue.append([*path, name])
    return None


def _within(target: str, packages: tuple[str, ...]) -> bool:
    return any(target == package or target.startswith(package + ".") for package in packages)


def distribution(house: House) -> Iterator[Breach]:
    """Only train/ touches torch.distributed."""
    for file in house.files.values():
        if file.folder == "train":
            continue
        lines = {one.line for one in file.imports if _within(one.target, ("torch.distributed",))}
        lines |= {node.lineno for node in _attributes(file, "torch", ("distributed",))}
        yield from (Breach(file.path, line, "only train/ imports torch.distributed") for line in sorted(lines))


def _attributes(file: File, module: str, names: tuple[str, ...]) -> Iterator[ast.Attribute]:
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Attribute) and node.attr in names and ast.unparse(node.value) == module:
            yield node


def references(house: House) -> Iterator[Breach]:
    """transformers is what tests compare with, never what pretune runs on."""
    for file in house.files.values():
        for one in file.imports:
            if _within(one.target, ("transformers",)):
                yield Breach(file.path, one.line, "imports transformers, which is a reference for tests only")


def pickles(house: House) -> Iterator[Breach]:
    """Nothing is saved or loaded by pickle: reading it runs what the file says. One file may read tensors from one."""
    for file in house.files.values():
        lines = {one.line for one in file.imports if _within(one.target, (*PICKLERS, "torch.load", "torch.save"))}
        lines |= {node.lineno for node in _attributes(file, "torch", ("load", "save"))}
        for node in ast.walk(file.tree):
            if isinstance(node, ast.Call) and file.module.endswith(READS_PICKLES) and _reads_tensors_only(node):
                lines.discard(node.func.lineno)
            if isinstance(node, ast.Call) and _allows_pickle(node):
                lines.add(node.lineno)
        yield from (Breach(file.path, line, "saves or loads by pickle") for line in sorted(lines))


def _reads_tensors_only(node: ast.Call) -> bool:
    """`torch.load(..., weights_only=True)` as written, not by way of a variable."""
    told = [one for one in node.keywords if one.arg == "weights_only"]
    return ast.unparse(node.func) == "torch.load" and len(told) == 1 and ast.unparse(told[0].value) == "True"


def _allows_pickle(node: ast.Call) -> bool:
    """numpy with anything but False, or whoever with a plain True; our own functions pass the user's word along."""
    told = [ast.unparse(one.value) for one in node.keywords if one.arg == "allow_pickle"]
    by_numpy = ast.unparse(node.func).startswith(("np.", "numpy."))
    return any(value == "True" or (by_numpy and value != "False") for value in told)


def layout(house: House) -> Iterator[Breach]:
    """No utils.py, nothing left to do, files and functions of readable size."""
    for file in house.files.values():
        if file.path.stem in ("utils", "util") or {"utils", "util"} & set(file.module.split(".")):
            yield Breach(file.path, 1, "name the concept: there is no utils")
        lines = file.text.splitlines()
        if len(lines) > MAX_FILE_LINES:
            yield Breach(file.path, len(lines), f"{len(lines)} lines: more than {MAX_FILE_LINES}, so two concepts")
        for number, line in enumerate(lines, start=1):
            if re.search(r"\b(TODO|FIXME|XXX)\b", line):
                yield Breach(file.path, number, "something is left to do")
        for node in ast.walk(file.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > MAX_FUNCTION_LINES:
                    yield Breach(file.path, node.lineno, f"{node.name} has {size} lines: split it")


def contents(house: House) -> Iterator[Breach]:
    """Each folder's __init__.py is a docstring alone, and names every file of the folder, and only files it has."""
    folders = {file.path.parent for file in house.files.values()} - {house.root}
    for folder in sorted(folders):
        path = folder / "__init__.py"
        if not path.exists():
            yield Breach(path, 1, "missing: it says what the folder is for and what each file is")
            continue
        tree = ast.parse(path.read_text("utf-8"))
        docstring = ast.get_docstring(tree) or ""
        if len(tree.body) != 1 or not docstring:
            yield Breach(path, 1, "holds more or less than a docstring")
        named = set(re.findall(r"^(\w+\.\w+|\w+/)(?=\s+\S)", docstring, re.M))
        held = {child.name for child in folder.glob("*.py")} - {"__init__.py"}
        held |= {f"{child.name}/" for child in folder.iterdir() if child.is_dir() and any(child.glob("*.py"))}
        yield from (Breach(path, 1, f"does not name {name}") for name in sorted(held - named))
        gone = [name for name in sorted(named) if not (folder / name).exists()]
        yield from (Breach(path, 1, f"names {name}, which is not there") for name in gone)


RULES: tuple[Callable[[House], Iterator[Breach]], ...] = (
    ranks,
    cycles,
    torch_free,
    distribution,
    references,
    pickles,
    layout,
    contents,
)


def main() -> int:
    house = House(Path(sys.argv[1] if len(sys.argv) > 1 else "src/pretune"))
    if not house.files:
        print(f"{house.root}: no Python files there")
        return 2
    breaches = [breach for rule in RULES for breach in rule(house)]
    for breach in breaches:
        print(breach)
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
