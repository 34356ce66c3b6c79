"""A block's structure as JSON, in MXNet's form: what `Block.save` writes beside the parameters."""
import json

from mxcy.base import MXNetValueError
from mxcy.ndarray.serialization import replacing
from mxcy.sym import var

__all__ = ["load_structure", "save_structure"]


def save_structure(block, filename):
    """Write the tree of a block: nested dicts, whose keys are classes, numbered in the order of a walk.

    Parameters
    ----------
    block : Block
    filename : str
    """
    count = 0

    def describe(block, into):
        nonlocal count
        entry = into[f"{type(block).__name__.lower()}{count}"] = {
            "orig_name": block.name, **graph_of(block),
            "children": {child.name: name for name, child in block._children.items()}}
        for child in block._children.values():
            count += 1
            describe(child, entry)

    model = {}
    describe(block, model)
    with replacing(filename) as file:
        file.write(json.dumps(model).encode())


def graph_of(block):
    """What is said of a hybrid block's graph, if it has one and takes and gives plain arrays."""
    if not hasattr(block, "_compiled"):
        return {}
    for made in block._compiled.values():
        trace = made[0].trace
        heads = len(trace.symbol.heads)
        return {"in_format": [0] * len(trace.names), "out_format": 0 if heads == 1 else [0] * heads,
                "inputs": [var(name).tojson() for name in trace.names], "symbol": trace.symbol.tojson(),
                "hybridized": True}
    return {"hybridized": False}


def load_structure(block, filename):
    """Compare a block with the structure in a file, and hybridize what had a graph.

    Parameters
    ----------
    block : Block
    filename : str

    Raises
    ------
    ValueError
        If they differ.
    """
    with open(filename, encoding="utf-8") as file:
        try:
            model = json.load(file)
        except (ValueError, RecursionError) as error:
            raise MXNetValueError(f"{filename} does not hold a block's structure: {error}") from None
    count = 0

    def compare(block, saved):
        nonlocal count
        key = f"{type(block).__name__.lower()}{count}"
        if not isinstance(saved, dict) or not isinstance(saved.get(key), dict):
            raise MXNetValueError(f"{filename} was saved from another network: it lacks {key}, which is {block.name!r} "
                                  "here")
        if saved[key].get("hybridized"):
            block.hybridize()
        for child in block._children.values():
            count += 1
            compare(child, saved[key])

    compare(block, model)
