"""Rules of simplification, by operator.

A rule is called with the pass, a node and what its inputs became. It returns an entry that equals the node's first
output to the bit, a list for all outputs, or None.
"""
import math

from mxcy.graph.graph import Entry
from mxcy.imperative._function import F as nd
from mxcy.imperative._function import apply
from mxcy.ops import _cast, _shape
from mxcy.ops.operator import lookup

__all__ = ["ANY", "RULES"]

COPIES = (_cast.copy, _shape.copy)
FLOATS = ("bfloat16", "float16", "float32", "float64")
#: What each dtype holds exactly, itself left out.
WITHIN = {"float32": {"float16", "bfloat16"}, "float64": {"float16", "bfloat16", "float32"}}

#: Operator name -> its rules, in the order in which they are tried.
RULES = {}


def rule(*names):
    """Register a rule for operators."""
    def register(function):
        for name in names:
            RULES.setdefault(lookup(name).name, []).append(function)
        return function
    return register


# -- constants ---------------------------------------------------------------------------------------------------------

def number_of(entry):
    """The number that an entry holds everywhere, or None."""
    name = None if entry.node.op is None else entry.node.op.name
    return entry.node.params["value"] if name == "_full" else {"_zeros": 0., "_ones": 1.}.get(name)


def constant(p, node, number):
    """The node's first output, filled with a number."""
    shape, dtype = node.types[0]
    if number in (0, 1) and math.copysign(1, number) == 1:
        return p.make(node, "_ones" if number else "_zeros", shape=shape, dtype=dtype)
    return p.make(node, "_full", shape=shape, dtype=dtype, value=number)


def of_constants(p, node, inputs):
    """Elementwise operators of constants: computed on one element."""
    if not inputs or node.op.cpu is None or len(node.types) != 1 or node.types[0][1] not in FLOATS \
            or not node.types[0][0]:
        return None
    numbers = [number_of(entry) for entry in inputs]
    if None in numbers or any(entry.dtype != node.types[0][1] for entry in inputs):
        return None
    if node.op.kernel(node.params).arrays != len(inputs):
        return None
    arrays = [nd._full(shape=(1,), value=number, dtype=node.types[0][1]) for number in numbers]
    scalar = 0. if node.scalar is None else node.scalar
    return constant(p, node, float(apply(node.op, node.params, tuple(arrays), scalar)[0].asscalar()))


def moved_constant(p, node, inputs):
    """Reshaped, repeated, transposed and cut constants, of which only the first input has values."""
    number = number_of(inputs[0])
    if number is None or not node.types[0][0] or node.types[0][1] != inputs[0].dtype:
        return None
    return constant(p, node, number)


@rule("zeros_like", "ones_like")
def filled_like(p, node, inputs):
    """The array whose shape is taken need not be kept."""
    return constant(p, node, float(node.op.name == "ones_like")) if node.types[0][0] else None


# -- the same items in another shape -----------------------------------------------------------------------------------

def is_view(node):
    """Whether the node's output has the items of its first input, in their order."""
    return node.op is not None and node.op.cpu_kernel in COPIES and len(node.types) == 1 \
        and node.types[0][1] == node.inputs[0].dtype


def view(p, node, inputs):
    """Copies go; of one reshape after the other, the last is left."""
    if not is_view(node):
        return None
    shape, source = node.types[0][0], inputs[0]
    while is_view(source.node):
        source = source.node.inputs[0]
    if source.shape == shape:
        return source
    if number_of(source) is not None:
        return moved_constant(p, node, [source])
    return reshaped(p, node, source, shape)


def reshaped(p, node, source, shape):
    """``source`` in another shape, unless the node is just that."""
    if 0 in shape or not shape or (node.op.name == "Reshape" and node.inputs == [source]
                                   and node.params["shape"] == shape and not node.params["reverse"]):
        return None
    return p.make(node, "Reshape", source, shape=shape)


@rule("broadcast_to", "broadcast_axis", "broadcast_like", "tile", "repeat", "slice", "slice_axis", "slice_like", "Pad",
      "Concat", "SliceChannel", "_split_v2")
def unchanged(p, node, inputs):
    """What neither repeats nor cuts anything."""
    if len(node.types) == 1 and node.types[0] == (inputs[0].shape, inputs[0].dtype) \
            and not (node.op.name == "Concat" and len(inputs) > 1) \
            and all((step or 1) > 0 for step in node.params.get("step") or ()):
        return inputs[0]
    return None


@rule("broadcast_to", "broadcast_axis", "broadcast_like", "tile", "repeat", "slice", "slice_axis", "slice_like",
      "transpose", "SwapAxis")
def of_constant(p, node, inputs):
    """Moving a constant."""
    return moved_constant(p, node, inputs)


@rule("broadcast_like")
def broadcast_without_like(p, node, inputs):
    """Only the shape of the second array matters, so that it need not be kept."""
    return p.make(node, "broadcast_to", inputs[0], shape=node.types[0][0]) if 0 not in node.types[0][0] else None


@rule("slice_like")
def slice_without_like(p, node, inputs):
    """Only the shape of the second array matters, so that it need not be kept."""
    shape = node.types[0][0]
    return p.make(node, "slice", inputs[0], begin=(0,) * len(shape), end=shape)


# -- transposes --------------------------------------------------------------------------------------------------------

def axes_of(node):
    """The axes of a transposing node, of which input axis each output axis is; or None."""
    if node.op is None:
        return None
    if node.op.name == "transpose":
        ndim = len(node.types[0][0])
        return tuple(axis % ndim for axis in node.params["axes"]) or tuple(range(ndim))[::-1]
    if node.op.name == "SwapAxis":
        axes = list(range(len(node.types[0][0])))
        first, second = node.params["dim1"], node.params["dim2"]
        axes[first], axes[second] = axes[second], axes[first]
        return tuple(axes)
    return None


@rule("transpose", "SwapAxis")
def transposed(p, node, inputs):
    """One after the other are one; those that move no items are a reshape."""
    axes, source = axes_of(node), inputs[0]
    inner = axes_of(source.node)
    if inner is not None:
        source = source.node.inputs[0]
        axes = tuple(inner[axis] for axis in axes)
    if axes == tuple(range(len(axes))):
        return source
    moving = [axis for axis in axes if source.shape[axis] != 1]
    if moving == sorted(moving) and 0 not in source.shape:
        return p.make(node, "Reshape", source, shape=node.types[0][0])
    if inner is None and node.op.name == "transpose" and node.params["axes"] == axes:
        return None
    return p.make(node, "transpose", source, axes=axes)


# -- joining and cutting -----------------------------------------------------------------------------------------------

def parts_of(entry, axis):
    """(part, begin, end) of each array joined along an axis in an entry; empty if it is not such a thing."""
    node, at, parts = entry.node, 0, []
    if node.op is None or node.op.name != "Concat" or node.params["dim"] % len(entry.shape) != axis:
        return []
    for part in node.inputs:
        parts.append((part, at, at + part.shape[axis]))
        at = parts[-1][2]
    return parts


@rule("slice_axis")
def slice_of_joined(p, node, inputs):
    """A slice that lies within one of the arrays."""
    axis = node.params["axis"] % len(inputs[0].shape)
    begin = node.params["begin"] % inputs[0].shape[axis]
    end = begin + node.types[0][0][axis]
    for part, low, high in parts_of(inputs[0], axis):
        if low <= begin and end <= high:
            return p.make(node, "slice_axis", part, axis=axis, begin=begin - low, end=end - low)
    return None


@rule("SliceChannel", "_split_v2")
def split_of_joined(p, node, inputs):
    """Parts that are the very arrays that were joined."""
    parts = parts_of(inputs[0], node.params["axis"] % len(inputs[0].shape))
    if node.params["squeeze_axis"] or [part.shape for part, _, _ in parts] != [shape for shape, _ in node.types]:
        return None
    return [part for part, _, _ in parts]


@rule("Concat")
def joined_parts(p, node, inputs):
    """All parts of one array, in their order."""
    split, axis = inputs[0].node, node.params["dim"] % len(node.types[0][0])
    if split.op is None or split.op.name not in ("SliceChannel", "_split_v2") or split.params["squeeze_axis"] \
            or split.params["axis"] % len(node.types[0][0]) != axis \
            or inputs != [Entry(split, i) for i in range(split.n_outputs)]:
        return None
    return split.inputs[0]


# -- arithmetic --------------------------------------------------------------------------------------------------------

@rule("_mul_scalar", "_div_scalar")
def times_one(p, node, inputs):
    """``x * 1``, ``x / 1``"""
    return inputs[0] if node.scalar == 1 and inputs[0].dtype != "bool" else None


@rule("_plus_scalar", "_minus_scalar")
def plus_nothing(p, node, inputs):
    """``x - 0``; ``x + 0`` is not ``x`` where that is -0, but ``x + -0`` is."""
    sign = math.copysign(1, node.scalar) * (1 if node.op.name == "_minus_scalar" else -1)
    return inputs[0] if node.scalar == 0 and inputs[0].dtype != "bool" and (
        sign > 0 or inputs[0].dtype not in FLOATS) else None


@rule("_mul_scalar")
def times_twice(p, node, inputs):
    """``x * a * b`` where the first product is exact, or both are infinite: a is -1, or a power of 2 and |b| >= 1."""
    inner, b = inputs[0].node, node.scalar
    if inner.op is None or inner.op.name != "_mul_scalar" or node.types[0][1] not in ("float32", "float64"):
        return None
    a, largest = inner.scalar, 3e38 if node.types[0][1] == "float32" else 1e308
    exact = a == -1 or (abs(math.frexp(a)[0]) == .5 and abs(a) >= 1 and abs(b) >= 1)
    if not exact or not abs(a * b) < largest or math.isnan(b):
        return None
    return p.make(node, "_mul_scalar", inner.inputs[0], scalar=a * b)


@rule("negative")
def negative_twice(p, node, inputs):
    """``-(-x)``"""
    inner = inputs[0].node
    return inner.inputs[0] if inner.op is not None and inner.op.name == "negative" else None


def neutral(number, *names, right_only=False):
    """A rule for operators of two arrays, of which one that holds ``number`` everywhere leaves the other as it is."""
    @rule(*names)
    def other(p, node, inputs):
        for this, that in ((0, 1),) if right_only else ((0, 1), (1, 0)):
            if number_of(inputs[that]) == number and math.copysign(1, number_of(inputs[that])) > 0 \
                    and (inputs[this].shape, inputs[this].dtype) == node.types[0]:
                return inputs[this]
        return None


neutral(1, "elemwise_mul", "broadcast_mul")
neutral(1, "elemwise_div", "broadcast_div", right_only=True)
neutral(0, "elemwise_sub", "broadcast_sub", right_only=True)


@rule("add_n")
def sum_of_few(p, node, inputs):
    """A sum of one is it; a sum of two is an addition."""
    return inputs[0] if len(inputs) == 1 else p.make(node, "elemwise_add", *inputs) if len(inputs) == 2 else None


@rule("Cast", "amp_cast")
def cast(p, node, inputs):
    """To the same dtype; and back from one that holds all its numbers."""
    source, dtype = inputs[0], node.types[0][1]
    if source.dtype == dtype:
        return source
    inner = source.node
    if inner.op is None or inner.op.name not in ("Cast", "amp_cast") \
            or inner.inputs[0].dtype not in WITHIN.get(source.dtype, ()) or dtype not in FLOATS:
        return None
    return p.make(node, "Cast", inner.inputs[0], dtype=dtype)


# -- losses ------------------------------------------------------------------------------------------------------------

@rule("_backward_log_softmax")
def picked_log_softmax(p, node, inputs):
    """The gradient of a cross entropy: not by way of an array of zeros."""
    picked, params, last = inputs[0].node, node.params, len(node.types[0][0]) - 1
    if picked.op is None or picked.op.name != "_backward_pick" or params["use_length"] \
            or {params["axis"] % (last + 1), picked.params["axis"] % (last + 1)} != {last} \
            or any(entry.dtype != picked.inputs[0].dtype for entry in inputs):
        return None
    return p.make(node, "_backward_picked_log_softmax", *picked.inputs, inputs[1], mode=picked.params["mode"],
                  temperature=params["temperature"])


# -- dropout -----------------------------------------------------------------------------------------------------------

def drops(p, node):
    """Whether a Dropout does anything."""
    return node.params["p"] > 0 and (p.train or node.params["mode"] == "always")


@rule("Dropout")
def dropout(p, node, inputs):
    """Without effect, or as it is: no two of them are the same."""
    node = node.replace(inputs)
    return [Entry(node, 0) if drops(p, node) else inputs[0], Entry(node, 1)]


@rule("_backward_Dropout")
def dropout_backward(p, node, inputs):
    """The gradient of one without effect."""
    source = inputs[1].node
    return inputs[0] if source.op is not None and source.op.name == "Dropout" and not drops(p, source) else None


#: Rules for every operator, tried last.
ANY = [view, of_constants]
