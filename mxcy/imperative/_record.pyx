# cython: language_level=3, boundscheck=False, wraparound=False
"""Recording calls for a gradient: nodes, and the gradient rules they will be asked for."""
cimport cython
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE

from mxcy.imperative._state cimport state
from mxcy.ndarray._ndarray cimport NDArray, view

import inspect

from mxcy.base import MXNetTypeError


cdef class Rule:
    def __init__(self, Bound bound, Py_ssize_t n_inputs):
        operator = bound.operator
        self.count = n_inputs
        self.function = operator.rules.get("gradient")
        self.wants, self.constants = [], {}
        inputs, outputs = set(), set()
        if self.function is None:
            self.inputs = self.outputs = frozenset()
            return
        names = () if operator.variadic else operator.input_names(bound.params, n_inputs)
        n_outputs = operator.output_counts(bound.params, n_inputs)[0]
        plain = {"F": WANT_F, "g": WANT_G, "gs": WANT_GS, "needs": WANT_NEEDS, "train": WANT_TRAIN, "scalar": WANT_SCALAR}
        for name, argument in inspect.signature(self.function).parameters.items():
            if argument.kind is argument.KEYWORD_ONLY:
                self.constants[name] = bound.params[name]
            elif operator.variadic and name == operator.inputs[0]:
                self.wants.append((WANT_INPUTS, None))
                inputs.update(range(n_inputs))
            elif name in names:
                self.wants.append((WANT_INPUT, names.index(name)))
                inputs.add(names.index(name))
            elif name in operator.inputs:
                self.wants.append((WANT_VALUE, None))           # an input that these parameters leave out
            elif name in operator.outputs[:n_outputs]:
                self.wants.append((WANT_OUTPUT, operator.outputs.index(name)))
                outputs.add(operator.outputs.index(name))
            elif name in operator.outputs:
                self.wants.append((WANT_VALUE, None))           # an output that these parameters leave out
            elif name in bound.params:
                self.wants.append((WANT_VALUE, bound.params[name]))
            elif name in plain:
                self.wants.append((plain[name], None))
            else:
                raise MXNetTypeError(f"the gradient rule of {operator.name} asks for {name!r}, which is none of its "
                                     f"inputs, outputs and parameters")
        self.inputs, self.outputs = frozenset(inputs), frozenset(outputs)
        self.all_inputs = len(inputs) == n_inputs


cdef list graveyard = []                # what dying nodes held: taken apart here, as a chain of 100,000 would recurse
cdef bint digging = False


@cython.freelist(128)
cdef class Origin:
    """Where an array comes from, as far as autograd is concerned."""


cdef class Variable(Origin):
    """An array that wants a gradient; ``grad`` receives it."""

    def __init__(self, NDArray grad not None, str req):
        self.grad, self.req = grad, req


cdef class Node(Origin):
    """A recorded call: what its gradient rule needs, and where the inputs came from."""

    def __dealloc__(self):
        global digging
        graveyard.append((self.parents, self.inputs, self.outputs))
        self.parents = self.inputs = self.outputs = None
        if not digging:
            digging = True
            while graveyard:
                graveyard.pop()
            digging = False


cdef NDArray detached(NDArray array):
    """A view of the whole array that autograd does not know."""
    return view(array, array.data, array.code, array.rank, array.dims)


cdef int record(Bound bound, Signature signature, tuple inputs, list outputs, double scalar) except -1:
    """Append the call to the tape: the visible outputs now come from a Node."""
    cdef Node node = Node.__new__(Node)
    cdef Rule rule = bound.rule
    cdef NDArray array
    cdef int visible = signature.visible
    cdef Py_ssize_t n = PyTuple_GET_SIZE(inputs), i
    if rule is None or rule.count != n:
        rule = bound.rule = Rule(bound, n)
    node.bound, node.rule, node.signature = bound, rule, signature
    node.count, node.scalar, node.train = visible, scalar, state().training
    if n == 1:
        array = <NDArray>PyTuple_GET_ITEM(inputs, 0)
        node.parents, node.indices = (array.node,), (array.node_index,)
    elif n == 2:
        array = <NDArray>PyTuple_GET_ITEM(inputs, 0)
        other = <NDArray>PyTuple_GET_ITEM(inputs, 1)
        node.parents = (array.node, (<NDArray>other).node)
        node.indices = (array.node_index, (<NDArray>other).node_index)
    else:
        node.parents = tuple([(<NDArray>array).node for array in inputs])
        node.indices = tuple([(<NDArray>array).node_index for array in inputs])
    if rule.all_inputs:
        node.inputs = inputs
    elif rule.inputs:
        node.inputs = tuple([array if i in rule.inputs else None for i, array in enumerate(inputs)])
    if rule.outputs:
        node.outputs = tuple([detached(array) if i in rule.outputs else None for i, array in enumerate(outputs)])
    for i in range(visible):
        array = <NDArray>outputs[i]
        array.node, array.node_index = node, <int>i
    return 0
