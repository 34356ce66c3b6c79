"""Inference over symbol graphs: partial shapes, both directions, dtypes, contradictions."""
import numpy as np
import pytest

import mxcy as mx
from mxcy.base import MXNetError
from mxcy.graph.infer import infer_shapes
from tests.ops.cases import CASES

x, y = mx.sym.var("x"), mx.sym.var("y")


@pytest.mark.parametrize(("symbol", "known", "arguments", "outputs"), [
    # sizes that do not depend on an unknown one are known
    (mx.sym.Convolution(x, kernel=(3, 3), num_filter=4, name="c"), dict(x=(0, 3, 8, 8)),
     [(0, 3, 8, 8), (4, 3, 3, 3), (4,)], [(0, 4, 6, 6)]),
    (mx.sym.Convolution(x, kernel=(3, 3), num_filter=4, no_bias=True, name="c"), dict(x=(2, 3, 0, 0)),
     [(2, 3, 0, 0), (4, 3, 3, 3)], [(2, 4, 0, 0)]),
    (mx.sym.BatchNorm(x, name="b"), dict(x=(0, 3, 8)), [(0, 3, 8), (3,), (3,)], [(0, 3, 8)]),
    (mx.sym.Reshape(x, shape=(0, -1)), dict(x=(0, 3, 4)), [(0, 3, 4)], [(0, 12)]),
    (mx.sym.mean(x, axis=1), dict(x=(0, 3, 4)), [(0, 3, 4)], [(0, 4)]),
    (mx.sym.Embedding(x, input_dim=9, output_dim=5, name="e"), dict(x=(0, 7)), [(0, 7), (9, 5)], [(0, 7, 5)]),
    (mx.sym.split(x, num_outputs=3), dict(x=(0, 6)), [(0, 6)], [(0, 2)] * 3),
    (mx.sym.moments(x, axes=(1,)), dict(x=(0, 3, 4)), [(0, 3, 4)], [(0, 4)] * 2),       # made of other operators
    # from one input to another, and from outputs back
    (x + y, dict(y=(2, 3)), [(2, 3), (2, 3)], [(2, 3)]),
    (x + y, dict(x=(0, 3), y=(2, 0)), [(2, 3), (2, 3)], [(2, 3)]),
    (mx.sym.transpose(x) + y, dict(y=(2, 3)), [(3, 2), (2, 3)], [(2, 3)]),
    (mx.sym.transpose(x, axes=(1, 2, 0)) + y, dict(y=(2, 3, 4)), [(4, 2, 3), (2, 3, 4)], [(2, 3, 4)]),
    (mx.sym.expand_dims(x, axis=1) + y, dict(y=(2, 1, 3)), [(2, 3), (2, 1, 3)], [(2, 1, 3)]),
    (mx.sym.SwapAxis(x, dim1=0, dim2=1) + y, dict(y=(2, 3)), [(3, 2), (2, 3)], [(2, 3)]),
    (mx.sym.softmax(mx.sym.Dropout(x)) + y, dict(y=(2, 3)), [(2, 3), (2, 3)], [(2, 3)]),
    (mx.sym.FullyConnected(x, num_hidden=3, name="f") + y, dict(x=(0, 4), y=(2, 0)),
     [(2, 4), (3, 4), (3,), (2, 3)], [(2, 3)]),
    (mx.sym.Concat(x, y, mx.sym.var("z"), dim=1) + mx.sym.var("w"), dict(x=(0, 2), y=(5, 3), w=(0, 9)),
     [(5, 2), (5, 3), (5, 4), (5, 9)], [(5, 9)]),
    (mx.sym.stack(x, y), dict(y=(2, 3)), [(2, 3), (2, 3)], [(2, 2, 3)]),
    (mx.sym.add_n(x, y), dict(y=(2, 3)), [(2, 3), (2, 3)], [(2, 3)]),
    (mx.sym.SequenceMask(x, y, use_sequence_length=True), dict(x=(4, 2, 3)), [(4, 2, 3), (2,)], [(4, 2, 3)]),
    (mx.sym.pick(x, y), dict(x=(4, 5)), [(4, 5), (4,)], [(4,)]),
    (mx.sym.random.normal(x, y, shape=(2,)), dict(x=(3,)), [(3,), (3,)], [(3, 2)]),
    (mx.sym.zeros((0, 4)) + mx.sym.FullyConnected(x, num_hidden=4, name="h"), dict(x=(7, 2)),
     [(7, 2), (4, 2), (4,)], [(7, 4)]),
    # nothing follows
    (mx.sym.FullyConnected(x, num_hidden=3, name="f"), {}, [(), (), ()], [()]),
    (mx.sym.dot(x, y), dict(x=(2, 3)), [(2, 3), ()], [()]),
    (mx.sym.squeeze(x), dict(x=(0, 3)), [(0, 3)], [()]),
], ids=lambda value: value.name if isinstance(value, mx.sym.Symbol) else None)
def test_shapes(symbol, known, arguments, outputs):
    found = symbol.infer_shape_partial(**known)
    assert found[0] == arguments and found[1] == outputs


def test_attributes_of_variables_count():
    v = mx.sym.var("v", shape=(0, 3), dtype="float16")
    assert (v + x).infer_shape(x=(2, 0)) == ([(2, 3), (2, 3)], [(2, 3)], [])
    assert (v + x).infer_type()[0] == [np.float16, np.float16]
    assert v.infer_shape(v=(5, 5))[1] == [(5, 5)]            # what is given goes first


@pytest.mark.parametrize(("symbol", "known", "message"), [
    (mx.sym.elemwise_add(mx.sym.relu(x, name="r"), y, name="sum"), dict(x=(2, 3), y=(3, 2)),
     r"'y' has shape \(3, 2\) \(given\), but node 'sum', elemwise_add needs shape \(2, 3\); its inputs are r \(2, 3\), y"),
    (mx.sym.broadcast_add(x, y, name="sum"), dict(x=(2, 3), y=(4, 1)), r"node 'sum' \(x \(2, 3\), y \(4, 1\)\): "),
    (mx.sym.Convolution(x, kernel=(3, 3), num_filter=4, name="c"), dict(x=(1, 3, 2, 8)), r"node 'c' \(x \(1, 3, 2, 8\), "),
    (mx.sym.dot(x, y, name="d"), dict(x=(2, 3), y=(2, 3)), r"node 'd' \(x \(2, 3\), y \(2, 3\)\): dot"),
])
def test_contradictions_name_nodes_and_shapes(symbol, known, message):
    with pytest.raises(MXNetError, match=message):
        symbol.infer_shape(**known)


def test_dtypes():
    assert (x + y).infer_type_partial() == ([None, None], [None], [])
    assert (x + y).infer_type(y="float64") == ([np.float64] * 2, [np.float64], [])
    assert mx.sym.Cast(x, dtype="int8").infer_type_partial() == ([None], [np.int8], [])
    assert mx.sym.BatchNorm(x, name="b").infer_type(x="float16") == (
        [np.float16, np.float32, np.float32], [np.float16], [np.float32] * 2)
    with pytest.raises(MXNetError, match=r"'y' has dtype float32 \(given\), but node '.*', elemwise_add needs dtype float64"):
        (x + y).infer_type(x="float64", y="float32")


@pytest.mark.parametrize("case", [case for case in CASES if case.inputs and case.operator != "_contrib_boolean_mask"],
                         ids=str)
def test_what_is_inferred_of_partial_shapes_is_true(case):
    """Of shapes that lack a size, inference says nothing that is wrong for the full ones."""
    names = [f"x{i}" for i in range(len(case.inputs))]
    arrays = case.sample("float32", case.rng())
    symbol = getattr(mx.sym._internal, case.operator)(*map(mx.sym.var, names), **case.params)
    if not symbol.heads:
        return
    full = infer_shapes(symbol.graph, {n: a.shape for n, a in zip(names, arrays)}, zero_is_size=True)
    for hidden in range(max(a.ndim for a in arrays)):
        partial = {n: tuple(-1 if i == hidden else s for i, s in enumerate(a.shape)) for n, a in zip(names, arrays)}
        found = infer_shapes(symbol.graph, {n: s for n, s in partial.items() if s}, zero_is_size=True)
        for entry, shape in found.items():
            assert shape is None or len(shape) == len(full[entry])
            assert shape is None or all(a in (-1, b) for a, b in zip(shape, full[entry])), (partial, entry, shape)
