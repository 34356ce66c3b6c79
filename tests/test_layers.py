"""Imports point one way: a module of mxcy imports from its own package and from lower layers only."""
import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "mxcy"

#: From the lowest layer to the highest; those of one line do not import each other.
LAYERS = [
    "_types _version base",
    "datasets dtype",
    "context name ndarray.arithmetic nested recordio registry",
    "attribute",
    "engine",
    "gpu",
    "profiler storage",
    "ndarray._ndarray ops",                 # operators see buffers, not arrays: imperative is where the two meet
    "imperative",
    "graph",
    "plan",
    "ndarray",                              # what is made of operators: indexing, creation, files, ...
    "autograd random",
    "operator",
    "nd",
    "rtc runtime testing util",
    "initializer lr_scheduler metric",
    "executor",
    "symbol",
    "io optimizer sym visualization",
    "kvstore",
    "module",
    "callback monitor",
    "model",
    "gluon test_utils",
    "contrib rnn",
    "examples",
]
#: Imports against the order, made when they are needed, and why.
LATE = {
    ("ndarray._ndarray", "nd"): "mx.ndarray is another name of the namespace mx.nd",
    ("context", "gpu"): "the number of GPUs, likewise",
    ("context", "storage"): "Context.empty_cache and memory figures: a device is a name until someone asks",
}
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names.split()}

COMPILED = re.compile(r"^\s*(?:from\s+(\S+)\s+c?import\s+\(?([\w ,]*)|c?import\s+(\S+))", re.MULTILINE)


def imports_of_python(text, package):
    """Dotted names of all that a Python file imports, at its top and within functions."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[:len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imports_of_cython(text):
    """Dotted names of all that a Cython file imports or cimports."""
    for source, names, module in COMPILED.findall(text):
        for name in (names.split(",") if source else [module]):
            yield ".".join([source, *name.split()[:1]]) if source else module


def imports(path):
    package = ["mxcy", *path.relative_to(ROOT).parts[:-1]]
    text = path.read_text()
    return imports_of_python(text, package) if path.suffix == ".py" else imports_of_cython(text)


def piece(parts):
    """The layer entry that a module belongs to: mostly the package or module right below mxcy."""
    long = ".".join(parts[:2])
    return long if long in LEVEL else "ndarray._ndarray" if long == "ndarray.__init__" else parts[0]


def parts_of(path):
    """("gluon", "nn", "layers") for mxcy/gluon/nn/layers.py."""
    return path.relative_to(ROOT).with_suffix("").parts


FILES = sorted(path for pattern in ("*.py", "*.pyx", "*.pxd") for path in ROOT.rglob(pattern)
               if path.parent != ROOT or path.stem != "__init__")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_from_lower_layers_only(path):
    own = piece(parts_of(path))
    assert own in LEVEL, f"{own} is new: give it a place in LAYERS"
    for name in imports(path):
        top, _, rest = name.partition(".")
        other = piece(rest.split("."))
        if top != "mxcy" or other == own or (own, other) in LATE:
            continue
        if own == "examples" and not rest:          # they are programs of a user: `import mxcy as mx`
            continue
        assert other in LEVEL, f"{path.name} imports {name}, which is in no layer: name the module it needs"
        assert LEVEL[other] < LEVEL[own], f"{path.name} ({own}) imports {name}, which is not in a lower layer"


def test_every_layer_exists():
    pieces = {piece(parts_of(path)) for path in FILES}
    assert pieces == set(LEVEL), f"not in LAYERS: {pieces - set(LEVEL)}; gone: {set(LEVEL) - pieces}"


def test_reading_of_imports():
    python = "import a.b, c\nfrom . import d\nfrom ..e import f as g\ndef x():\n    from h.i import j\n"
    assert sorted(imports_of_python(python, ["mxcy", "gluon"])) == [
        "a.b", "c", "h.i.j", "mxcy.e.f", "mxcy.gluon.d"]
    cython = "cimport a\nfrom b.c cimport d, e as f\nfrom g cimport (\n    h)\nimport i.j as k\n"
    assert list(imports_of_cython(cython)) == ["a", "b.c.d", "b.c.e", "g", "i.j"]
