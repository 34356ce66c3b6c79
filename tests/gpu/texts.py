"""The texts of kernels that the operator table's cases launch, forward and backward, and what they make of each other."""
import re

import numpy as np

from mxcy.base import MXNetError, MXNetNotImplementedError
from mxcy.dtype import NUMPY
from mxcy.gpu.recipe import Launch
from mxcy.graph.build import Builder, variable
from mxcy.graph.gradient import gradient
from mxcy.graph.graph import Graph
from mxcy.ops.cuda.random import begin_run
from mxcy.ops.cuda.recipes import launches
from mxcy.ops.operator import lookup
from tests.gpu.tools import CHECKOUT
from tests.ops.cases import CASES

TOGETHER = 16                   # texts in one compilation
NAMES = {dtype: name for name, dtype in NUMPY.items()}
HALVES = ("float16", "bfloat16")
#: What is large in programs: cases are small, and for sizes like these other kernels are chosen.
LARGE = [
    ("sum", [(4096, 4096)], {"axis": 1}), ("sum", [(4096, 4096)], {"axis": 0}), ("sum", [(64, 64, 56, 56)], {"axis": 1}),
    ("mean", [(1 << 24,)], {}), ("max", [(64, 56, 56, 64)], {"axis": (1, 2)}), ("norm", [(1024, 4096)], {"axis": 1}),
    ("argmax", [(128, 1000)], {"axis": 1}), ("argmax", [(128, 1000)], {"axis": 0}),
    ("softmax", [(128, 1000)], {}), ("softmax", [(512, 512)], {}), ("softmax", [(64, 32000)], {}),
    ("softmax", [(32, 21, 128, 128)], {"axis": 1}), ("log_softmax", [(128, 1000)], {}),
    ("SoftmaxOutput", [(128, 1000), (128,)], {}),
    ("LayerNorm", [(4096, 1024), (1024,), (1024,)], {}), ("LayerNorm", [(4096, 8192), (8192,), (8192,)], {}),
    ("LayerNorm", [(4096, 65536), (65536,), (65536,)], {}),
    ("GroupNorm", [(32, 64, 56, 56), (64,), (64,)], {"num_groups": 32}),
    ("InstanceNorm", [(32, 64, 56, 56), (64,), (64,)], {}),
    ("BatchNorm", [(32, 64, 56, 56), (64,), (64,), (64,), (64,)], {}),
    ("BatchNorm", [(32, 56, 56, 64), (64,), (64,), (64,), (64,)], {"axis": -1}),
    ("_batch_norm_relu", [(32, 56, 56, 64), (64,), (64,), (64,), (64,), (32, 56, 56, 64)], {"axis": -1, "with_addend": True}),
    *[("_backward_batch_norm_relu", [shape, shape, *[(64,)] * 6], {"axis": axis, "batch": True})
      for shape, axis in (((32, 64, 56, 56), 1), ((32, 56, 56, 64), 3))],
    ("Pooling", [(32, 64, 112, 112)], {"kernel": (3, 3), "stride": (2, 2), "pad": (1, 1), "pool_type": "max"}),
    ("Pooling", [(32, 64, 112, 112)], {"kernel": (2, 2), "stride": (2, 2), "pool_type": "avg"}),
    ("broadcast_add", [(4096, 1024), (1, 1024)], {}), ("broadcast_mul", [(32, 64, 56, 56), (1, 64, 1, 1)], {}),
    ("transpose", [(4096, 4096)], {}), ("transpose", [(64, 128, 16, 64)], {"axes": (0, 2, 1, 3)}),
    ("Concat", [(32, 64, 56, 56), (32, 64, 56, 56)], {"dim": 1}), ("slice_axis", [(4096, 4096)],
                                                                  {"axis": 1, "begin": 64, "end": 1088}),
    ("Embedding", [(64, 128), (32000, 1024)], {"input_dim": 32000, "output_dim": 1024}),
    ("cumsum", [(1024, 4096)], {"axis": 1}), ("cumsum", [(4096, 1024)], {"axis": 0}),
]


def sources():
    """The texts of all cases, in each of their dtypes and bfloat16, and of what is `LARGE`; and of plans."""
    found = {begin_run().source}
    for case in CASES:
        for dtype in (*case.dtypes, *(["bfloat16"] if "float16" in case.dtypes else [])):
            inputs = [(x.shape, NAMES[np.dtype(x.dtype)]) for x in case.sample(dtype, np.random.default_rng(0))]
            found |= of_operator(case.operator, inputs, case.params, case.train)
    for name, shapes, params in LARGE:
        for dtype in ("float32", *HALVES):
            norm = "batchnorm" in name.replace("_", "").lower()         # what is of channels is float32 there
            kinds = [(shape, "float32" if norm and dtype in HALVES and len(shape) == 1 else dtype) for shape in shapes]
            found |= of_operator(name, kinds, params, True)
    return found


def of_operator(name, inputs, params, train):
    """The texts of an operator and of its gradient, for inputs of these shapes and dtypes; none if it takes no such."""
    op, values = lookup(name), [variable(f"x{i}", *kind) for i, kind in enumerate(inputs)]
    names = op.input_names(op.parse({key: value for key, value in params.items() if key in op.params}), len(values))
    try:
        function = getattr(Builder(), name)
        result = function(*values, **params) if op.variadic else function(**dict(zip(names, values)), **params)
    except (MXNetError, MXNetNotImplementedError):          # a dtype that the operator does not take
        return set()
    heads = [value.entry for value in (result if isinstance(result, (list, tuple)) else [result])]
    graph = Graph(heads)
    nodes = {*graph.nodes}
    try:
        given = [variable(f"g{i}", head.shape, head.dtype).entry for i, head in enumerate(heads)]
        grads = gradient(graph, given, [value.entry for value in values], train)
        nodes |= {*Graph([grad for grad in grads if grad is not None]).nodes}
    except MXNetError:                                      # it has no gradient
        pass
    return {text for node in nodes if node.op is not None for text in of_node(node)}


def of_node(node):
    """The texts that a node of a graph launches kernels of."""
    try:
        kinds = [(entry.shape, entry.dtype) for entry in node.inputs]
        items, _ = launches(node.op, node.op.kernel(node.params), node.params, kinds, node.types)
    except (MXNetError, MXNetNotImplementedError):
        return
    for item in items:
        if isinstance(item, Launch) and isinstance(item.source, str):
            yield item.source


def batches(texts):
    """Texts that include the same headers, joined by the dozen: that compiles much faster.

    Yields
    ------
    text : str
        Each of its kernels is in a namespace of its own, ``text_0`` and so on.
    parts : list of str
        What each of these was.
    """
    by_headers = {}
    for text in sorted(texts):
        lines = text.splitlines()
        headers = tuple(dict.fromkeys(line for line in lines if line.startswith("#include")))
        by_headers.setdefault(headers, []).append((text, [line for line in lines if line not in headers]))
    for headers, bodies in by_headers.items():
        for start in range(0, len(bodies), TOGETHER):
            some, lines = bodies[start:start + TOGETHER], [*headers]
            for i, (_, body) in enumerate(some):
                lines += [f"namespace text_{i} {{", *body, "}"]
            yield cpp_names("\n".join(lines) + "\n"), [text for text, _ in some]


def cpp_names(text):
    """Kernels with names of C++, which namespaces tell apart."""
    text = re.sub(r"#include \"(.*)\"", r"#include <\1>", text)          # not from the working folder, if it has such
    return text.replace('extern "C" __global__', "__global__")


def write_headers(folder):
    """Write the package's kernels to a folder, with names of C++, and return the option to include them from there."""
    (folder / "mxcy/gpu/kernels").mkdir(parents=True)
    for path in (CHECKOUT / "mxcy/gpu/kernels").glob("*.cuh"):
        (folder / "mxcy/gpu/kernels" / path.name).write_text(cpp_names(path.read_text()))
    return f"-I{folder}"
