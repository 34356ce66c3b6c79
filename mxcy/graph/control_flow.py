"""Loops and branches in graphs: ``_foreach``, ``_while_loop``, ``_cond``, nodes with graphs of their own.

An input of such a graph is an input of the node; which, the parameters ``..._locs`` say. In a plan ``_foreach`` is
unrolled, as its length is known where shapes are; the other two are run by the interpreter.
"""
from weakref import WeakKeyDictionary

from mxcy.base import MXNetValueError
from mxcy.graph.build import Value
from mxcy.graph.graph import Entry
from mxcy.graph.infer import infer_shapes, infer_types
from mxcy.graph.interpret import interpret
from mxcy.graph.lower import TooLong, lower
from mxcy.imperative._function import F as ND
from mxcy.ndarray._ndarray import NDArray
from mxcy.ops.operator import Operator
from mxcy.ops.param import Param, Shape

__all__ = ["COND", "FOREACH", "WHILE_LOOP", "pad", "slices", "truth"]

FOREACH = Operator(
    "_foreach", "*data", "A graph for each slice of ``data`` along the first axis, with states from one to the next.",
    num_args=Param(int, 0), num_outputs=Param(int, min=0), num_out_data=Param(int, min=0), in_data_locs=Param(Shape),
    in_state_locs=Param(Shape), remain_locs=Param(Shape))
WHILE_LOOP = Operator(
    "_while_loop", "*data", "A graph again and again, as long as another one gives something that is not 0.",
    num_args=Param(int, 0), num_outputs=Param(int, min=0), num_out_data=Param(int, min=0),
    max_iterations=Param(int, min=0), cond_input_locs=Param(Shape), func_input_locs=Param(Shape),
    func_var_locs=Param(Shape))
COND = Operator(
    "_cond", "*data", "One of two graphs, as a third one says.", num_args=Param(int, 0), num_outputs=Param(int, min=0),
    cond_input_locs=Param(Shape), then_input_locs=Param(Shape), else_input_locs=Param(Shape))
for _operator in (FOREACH, WHILE_LOOP, COND):
    _operator.outputs_given(lambda num_outputs: (num_outputs, num_outputs))


class Body:
    """A graph of a node, and which input of the node each of its variables is.

    Parameters
    ----------
    graph : Graph
    where : sequence of int
        Position among the node's inputs of each of the graph's variables, in their order.
    """

    def __init__(self, graph, where):
        self.graph, self.where = graph, where
        self.names = [node.name for node in graph.variables]

    def bind(self, values):
        """A dict of variable to value, from the values of the node's inputs."""
        return {name: values[at] for name, at in zip(self.names, self.where)}


# -- what a node says --------------------------------------------------------------------------------------------------

def fault(node, text):
    return MXNetValueError(f"node {node.name!r} ({node.op.name}): {text}")


def permutation(node, name, locs, graph):
    """The variables' positions by place, from places by position: every variable is named once."""
    if sorted(locs) != list(range(len(graph.variables))):
        raise fault(node, f"{name} must name each of the graph's {len(graph.variables)} inputs once, not {locs}")
    where = [0] * len(locs)
    for position, at in enumerate(locs):
        where[at] = position
    return where


def selection(node, name, locs, graph):
    """Positions of inputs of the node, one for each variable of the graph."""
    if len(locs) != len(graph.variables) or not all(0 <= at < len(node.inputs) for at in locs):
        raise fault(node, f"{name} must name one of {len(node.inputs)} inputs for each of the graph's "
                          f"{len(graph.variables)}, not {locs}")
    return locs


def graphs_of(node, *heads):
    """The node's graphs; they must have so many outputs."""
    if len(node.subgraphs) != len(heads):
        raise fault(node, f"there are {len(node.subgraphs)} subgraphs; expected {len(heads)}")
    for graph, count in zip(node.subgraphs, heads):
        if len(graph.heads) != count:
            raise fault(node, f"a subgraph has {len(graph.heads)} outputs; expected {count}")
    return node.subgraphs


def foreach_of(node):
    """(body, number of data inputs) of a ``_foreach``."""
    p = node.params
    graph, = graphs_of(node, p["num_outputs"])
    n_data, n_states = len(p["in_data_locs"]), len(p["in_state_locs"])
    if n_data == 0 or p["num_outputs"] != p["num_out_data"] + n_states:
        raise fault(node, f"{n_data} data inputs, {n_states} states, {p['num_out_data']} outputs that are no states "
                          f"and {p['num_outputs']} in all do not go together")
    locs = (*p["in_data_locs"], *p["in_state_locs"], *p["remain_locs"])
    if len(node.inputs) != len(locs):
        raise fault(node, f"there are {len(node.inputs)} inputs, and places for {len(locs)}")
    return Body(graph, permutation(node, "in_data_locs, in_state_locs, remain_locs", locs, graph)), n_data


def while_of(node):
    """(condition, body, positions of the loop variables among the node's inputs) of a ``_while_loop``."""
    p = node.params
    condition, graph = graphs_of(node, 1, p["num_outputs"])
    body = Body(graph, selection(node, "func_input_locs", p["func_input_locs"], graph))
    if len(p["func_var_locs"]) != p["num_outputs"] - p["num_out_data"] or \
            not all(0 <= at < len(body.where) for at in p["func_var_locs"]):
        raise fault(node, f"func_var_locs is {p['func_var_locs']}; expected a place for each of "
                          f"{p['num_outputs'] - p['num_out_data']} loop variables")
    variables = [body.where[at] for at in p["func_var_locs"]]
    return Body(condition, selection(node, "cond_input_locs", p["cond_input_locs"], condition)), body, variables


def cond_of(node):
    """(condition, then, else) of a ``_cond``."""
    n = node.params["num_outputs"]
    graphs = graphs_of(node, 1, n, n)
    return [Body(graph, selection(node, name, node.params[name], graph))
            for graph, name in zip(graphs, ("cond_input_locs", "then_input_locs", "else_input_locs"))]


FOREACH.rule("check_node", foreach_of)
WHILE_LOOP.rule("check_node", while_of)
COND.rule("check_node", cond_of)


# -- shapes and dtypes -------------------------------------------------------------------------------------------------
# Written once for both.

_FOUND = WeakKeyDictionary()            # graph within -> {(function, what was known): result}


def same(value):
    return value


class Inference:
    """Inference for the graphs of a node: ``look`` is `infer_shapes` or `infer_types`."""

    def __init__(self, node, table, look):
        self.node, self.table, self.look = node, table, look
        self.given = [table.values[entry] for entry in node.inputs]
        self.out = [Entry(node, i) for i in range(node.n_outputs)]

    def run(self, body, part=None):
        """Values of a graph's heads; what is found of its variables goes to the node's inputs.

        ``part`` holds, for inputs that differ within the graph, what they are there, and a way back.
        """
        part = part or {}
        known = {}
        for name, at in zip(body.names, body.where):
            value = part[at][0] if at in part else self.given[at]
            if value is not None:
                known[name] = value
        found = self.remembered(body.graph, known)
        for variable, at in zip(body.graph.variables, body.where):
            value = found[Entry(variable, 0)]
            if value is not None:
                back = part[at][1] if at in part else same
                self.put(self.node.inputs[at], back(value))
        return [found[head] for head in body.graph.heads]

    def remembered(self, graph, known):
        """The inference of a graph within: each level asks several times, so nested ones would be asked too often."""
        results = _FOUND.setdefault(graph, {})
        key = self.look, frozenset(known.items())
        if key not in results:
            if len(results) >= 16:
                results.clear()
            results[key] = self.look(graph, known)
        return results[key]

    def put(self, entry, value):
        """Note what is known of a value."""
        if value is not None:
            self.table.put(entry, value, self.node)


def infer_foreach(inference):
    """``_foreach``: the first axis of data and outputs goes."""
    node = inference.node
    body, n_data = foreach_of(node)
    of_shapes = inference.look is infer_shapes
    n_out = node.params["num_out_data"]
    part, length = {}, 0
    if of_shapes:
        outside = [*inference.given[:n_data], *(inference.table.values[entry] for entry in inference.out[:n_out])]
        length = next((shape[0] for shape in outside if shape and shape[0] > 0), 0)
        for i, shape in enumerate(inference.given[:n_data]):
            part[i] = (shape[1:] or (1,) if shape else None), \
                lambda value, shape=shape: (length, *value) if shape is None else (length, *shape[1:])
    heads = inference.run(body, part)
    for entry, value in zip(inference.out[:n_out], heads):
        inference.put(entry, (length, *value) if of_shapes and value is not None else value)
    for i, (entry, value) in enumerate(zip(inference.out[n_out:], heads[n_out:])):
        inference.put(entry, value)
        inference.put(node.inputs[n_data + i], value)


def infer_while(inference):
    """``_while_loop``: outputs get a first axis of ``max_iterations``."""
    node = inference.node
    condition, body, variables = while_of(node)
    inference.run(condition)
    heads = inference.run(body)
    n_out = node.params["num_out_data"]
    for entry, value in zip(inference.out[:n_out], heads):
        if inference.look is infer_shapes and value is not None:
            value = (node.params["max_iterations"], *value)
        inference.put(entry, value)
    for at, entry, value in zip(variables, inference.out[n_out:], heads[n_out:]):
        inference.put(entry, value)
        inference.put(node.inputs[at], value)


def infer_cond(inference):
    """``_cond``: both branches have the node's outputs."""
    condition, then, otherwise = cond_of(inference.node)
    inference.run(condition)
    for body in (then, otherwise):
        for entry, value in zip(inference.out, inference.run(body)):
            inference.put(entry, value)


def add_inference(operator, rule):
    operator.rule("infer_shapes", lambda node, table: rule(Inference(node, table, infer_shapes)))
    operator.rule("infer_types", lambda node, table: rule(Inference(node, table, partial_types)))


def partial_types(graph, known):
    return infer_types(graph, known, default=None)


add_inference(FOREACH, infer_foreach)
add_inference(WHILE_LOOP, infer_while)
add_inference(COND, infer_cond)


# -- running -----------------------------------------------------------------------------------------------------------

def slices(F, value):
    """The slices of an array, or Value, along its first axis, which goes if it is not the only one."""
    length = value.shape[0]
    parts = F.SliceChannel(value, num_outputs=length, axis=0, squeeze_axis=value.ndim > 1)
    return [parts] if length == 1 else parts


def pad(array, length):
    """The array with zeros at the end of its first axis."""
    missing = length - array.shape[0]
    if not missing:
        return array
    return ND.Concat(array, ND._zeros(shape=(missing, *array.shape[1:]), dtype=array.dtype), dim=0)


def truth(value, what):
    """Whether an array of one element, or a number, is not 0."""
    if isinstance(value, NDArray):
        if value.size != 1:
            raise MXNetValueError(f"{what} has shape {value.shape}; expected an array of one element")
        value = value.asscalar()
    return bool(value)


def loop(F, node, values, run):
    """A ``_foreach`` iteration by iteration: ``run(graph, dict of values)`` gives a graph's heads."""
    body, n_data = foreach_of(node)
    n_out = node.params["num_out_data"]
    lengths = {value.shape[:1] for value in values[:n_data]}
    if len(lengths) != 1 or lengths & {(), (0,)}:
        raise fault(node, f"data have shapes {', '.join(str(value.shape) for value in values[:n_data])}; expected one "
                          f"length, 1 or more, along the first axis")
    n_states = len(node.params["in_state_locs"])
    states, rest = list(values[n_data:n_data + n_states]), list(values[n_data + n_states:])
    rows = []
    for row in zip(*(slices(F, value) for value in values[:n_data])):
        heads = run(body.graph, body.bind([*row, *states, *rest]))
        rows.append(heads[:n_out])
        states = heads[n_out:]
    return [F.stack(*column, axis=0) for column in zip(*rows)] + states


def expand_foreach(F, node, values, room):
    """Unroll the loop into a typed graph."""
    room[0] -= values[0].shape[0] * len(node.subgraphs[0].nodes) if values and values[0].shape else 0
    if room[0] < 0:
        raise TooLong(f"node {node.name!r}: a loop of {values[0].shape[0]} iterations is not unrolled")

    def run(graph, bound):
        heads = lower(graph, {}, {name: value.entry for name, value in bound.items()}, room).heads
        return [Value(entry, F) for entry in heads]
    return loop(F, node, values, run)


def run_foreach(node, values):
    """Run the loop on arrays."""
    return loop(ND, node, values, interpret)


def run_while(node, values):
    """Run the loop on arrays, on the tape where it records."""
    condition, body, variables = while_of(node)
    n_out, limit = node.params["num_out_data"], node.params["max_iterations"]
    values, rows = list(values), []
    while len(rows) < limit and truth(interpret(condition.graph, condition.bind(values))[0], f"{node.name}: condition"):
        heads = interpret(body.graph, body.bind(values))
        rows.append(heads[:n_out])
        for at, value in zip(variables, heads[n_out:]):
            values[at] = value
    if rows:
        outputs = [pad(ND.stack(*column, axis=0), limit) for column in zip(*rows)]
    else:                                               # what there would have been, to know its shape
        heads = interpret(body.graph, body.bind(values))[:n_out]
        outputs = [ND._zeros(shape=(limit, *head.shape), dtype=head.dtype) for head in heads]
    return outputs + [values[at] for at in variables]


def run_cond(node, values):
    """Run one of the branches on arrays."""
    condition, then, otherwise = cond_of(node)
    chosen = truth(interpret(condition.graph, condition.bind(values))[0], f"{node.name}: condition")
    body = then if chosen else otherwise
    return interpret(body.graph, body.bind(values))


FOREACH.rule("expand", expand_foreach)
FOREACH.rule("run", run_foreach)
WHILE_LOOP.rule("run", run_while)
COND.rule("run", run_cond)
