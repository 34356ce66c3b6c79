"""Loops and branches of symbols: ``sym.contrib.foreach``, ``while_loop`` and ``cond``."""
import threading

from mxcy.attribute import AttrScope
from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.graph.graph import Entry, Graph, Node
from mxcy.name import NameManager
from mxcy.nested import flatten, regroup
from mxcy.ops.operator import lookup
from mxcy.symbol.compose import apply
from mxcy.symbol.symbol import Symbol, output_name, var

__all__ = ["cond", "foreach", "while_loop"]

_WITHIN = "__subgraph_name__"           # attribute of the nodes that the user's function makes
_names = NameManager()
_lock = threading.Lock()


class Scope:
    """While the user's function runs: what it makes is marked as inside.

    Parameters
    ----------
    name : str
    """

    def __init__(self, name):
        with _lock:
            self.name = _names.get(None, name)
        self._scope = AttrScope(**{_WITHIN: self.name})

    def __enter__(self):
        self._scope.__enter__()
        return self

    def __exit__(self, *error):
        self._scope.__exit__(*error)

    def variables(self, symbols):
        """A variable within for each symbol outside."""
        names, found = set(), []
        for symbol in symbols:
            entry, = single(symbol)
            index = entry.index
            while f"{entry.node.name}-{index}" in names:        # the same symbol twice
                index += 1
            names.add(f"{entry.node.name}-{index}")
            found.append(var(f"{entry.node.name}-{index}"))
        return found

    def results(self, outputs, states, variables):
        """Entries of what the function returned, each a node of its own."""
        names = {symbol.name for symbol in variables}
        first = outputs[0].name if outputs else None
        heads = [single(symbol)[0] for symbol in (*outputs, *states)]
        for i, entry in enumerate(heads):
            if entry.node.name in names or entry.node.op is None or (i >= len(outputs) and entry.node.name == first) \
                    or entry.node.attrs.get(_WITHIN) != self.name:
                heads[i] = Entry(apply(lookup("_copy"), "identity", [entry], {}), 0)
        return heads

    def cut(self, heads, variables=()):
        """(graph of what was made within, an entry outside for each of its variables, None for ``variables``)."""
        own = {symbol.heads[0].node for symbol in variables}
        copies, outside = {}, {}

        def inner(entry):
            node = entry.node
            if node in own:
                return entry
            if node in copies:
                return Entry(copies[node], entry.index)
            if entry not in outside:
                attrs = dict(node.attrs) if node.op is None else {}
                outside[entry] = Entry(Node(None, output_name(entry), (), attrs), 0)
            return outside[entry]
        for node in Graph(heads).nodes:
            if node.op is not None and node.attrs.get(_WITHIN) == self.name:
                copies[node] = node.replace([inner(entry) for entry in node.inputs])
        graph = Graph([inner(entry) for entry in heads])
        back = {entry.node: given for given, entry in outside.items()}
        return graph, [back.get(node) for node in graph.variables]


def single(symbol):
    """The head of a symbol with one output, as a list."""
    if len(symbol) != 1:
        raise MXNetValueError(f"{symbol!r} has {len(symbol)} outputs; choose one by its index")
    return symbol.heads


def locations(graph, symbols, what):
    """Positions of symbols, which are variables, among the graph's variables."""
    nodes = graph.variables
    found = []
    for symbol in symbols:
        node = symbol.heads[0].node
        if node not in nodes:
            raise MXNetValueError(f"{what} {node.name.rpartition('-')[0]!r} is not used; every one must be")
        found.append(nodes.index(node))
    return found


def pair(what, result):
    """(outputs, their form, states, their form) that the user's function must return."""
    if not (isinstance(result, (list, tuple)) and len(result) == 2):
        raise MXNetTypeError(f"{what} must return a pair, (outputs, states), not {type(result).__name__}")
    return (*flatten(result[0], Symbol, f"{what}: outputs"), *flatten(result[1], Symbol, f"{what}: states"))


def make(operator, graphs, inputs, **params):
    """The node, as symbols, one for each output."""
    params = {key: str(value) for key, value in params.items()}
    node = apply(lookup(operator), operator, [], params)
    node.attrs["num_args"] = str(len(graphs) + len(inputs))     # MXNet counts both
    node.inputs, node.subgraphs = list(inputs), tuple(graphs)
    return [Symbol([Entry(node, i)]) for i in range(node.n_outputs)]


def foreach(body, data, init_states, name="foreach"):
    """Run a function on each slice of symbols along their first axis, with states that go from one to the next.

    Parameters
    ----------
    body : callable
        ``body(data, states)`` returns (outputs, new states). It may use other symbols, the same for all slices.
    data, init_states : Symbol or nested list of Symbol
        All of them must be used by ``body``.
    name : str
        Of the graph within.

    Returns
    -------
    outputs : Symbol or nested list of Symbol
        The outputs of all slices, stacked along a new first axis.
    states : Symbol or nested list of Symbol
        Those after the last slice.

    Examples
    --------
    >>> import mxcy as mx
    >>> total, last = mx.sym.contrib.foreach(lambda x, s: (x + s, x + s), mx.sym.var("x"), mx.sym.var("s"))
    >>> total.eval(x=mx.nd.ones((3, 1)), s=mx.nd.zeros((1,)))[0].asnumpy().tolist()
    [[1.0], [2.0], [3.0]]
    """
    data, data_form = flatten(data, Symbol, "foreach: data")
    states, state_form = flatten(init_states, Symbol, "foreach: init_states")
    if not data:
        raise MXNetValueError("foreach: there is no data")
    with Scope(name) as scope:
        variables = scope.variables(data + states)
        rows, before = variables[:len(data)], variables[len(data):]
        outputs, out_form, after, form = pair("foreach: body", body(regroup(rows, data_form),
                                                                    regroup(before, state_form)))
        if form != state_form:
            raise MXNetValueError("foreach: body must return states in the form in which it takes them")
        graph, outside = scope.cut(scope.results(outputs, after, variables), variables)
    data_locs, state_locs = locations(graph, rows, "foreach: data"), locations(graph, before, "foreach: state")
    rest = [i for i in range(len(outside)) if i not in data_locs and i not in state_locs]
    inputs = [symbol.heads[0] for symbol in data + states] + [outside[i] for i in rest]
    results = make("_foreach", [graph], inputs, in_data_locs=data_locs, in_state_locs=state_locs, remain_locs=rest,
                   num_out_data=len(outputs), num_outputs=len(outputs) + len(after))
    return regroup(results[:len(outputs)], out_form), regroup(results[len(outputs):], state_form)


def while_loop(cond, func, loop_vars, max_iterations=None, name="while_loop"):
    """Run a function as long as a condition holds.

    Parameters
    ----------
    cond : callable
        ``cond(*loop_vars)`` is a symbol of one element; the loop ends when it is 0.
    func : callable
        ``func(*loop_vars)`` returns (outputs, new loop_vars). It must use all of them.
    loop_vars : Symbol or list of Symbol
    max_iterations : int
        The loop ends at the latest after so many.
    name : str
        Of the graphs within.

    Returns
    -------
    outputs : Symbol or nested list of Symbol
        The outputs of all iterations, stacked along a new first axis of length ``max_iterations``, with zeros at the
        end.
    loop_vars : Symbol or list of Symbol
        Those at the end.
    """
    if max_iterations is None:
        raise MXNetValueError("while_loop: max_iterations is missing")
    given, given_form = flatten(loop_vars, Symbol, "while_loop: loop_vars")
    if not given:
        raise MXNetValueError("while_loop: loop_vars is empty; expected one symbol or more")
    with Scope(f"{name}_cond") as scope:
        held = scope.variables(given)
        heads = scope.results([symbol_of(cond(*held), "while_loop: cond")], [], held)
        condition, outside = scope.cut(heads, held)
    inputs, where = [], {}                              # of the node; (variable's number or outer entry) -> position
    cond_locs = place(inputs, where, condition, outside, held, given)
    with Scope(f"{name}_func") as scope:
        held = scope.variables(given)
        outputs, out_form, after, _ = pair("while_loop: func", func(*held))
        if len(after) != len(given):
            raise MXNetValueError(f"while_loop: func must return as many loop_vars as it takes, {len(given)}, not "
                                  f"{len(after)}")
        graph, outside = scope.cut(scope.results(outputs, after, held), held)
    func_locs = place(inputs, where, graph, outside, held, given)
    var_locs = locations(graph, held, "while_loop: loop variable")
    results = make("_while_loop", [condition, graph], inputs, max_iterations=int(max_iterations),
                   num_out_data=len(outputs), num_outputs=len(outputs) + len(after), cond_input_locs=cond_locs,
                   func_input_locs=func_locs, func_var_locs=var_locs)
    states = results[len(outputs):]
    return regroup(results[:len(outputs)], out_form), states[0] if given_form is None else states


def cond(pred, then_func, else_func, name="cond"):
    """One of two computations.

    Parameters
    ----------
    pred : Symbol
        Of one element: 0 means else.
    then_func, else_func : callable
        Without arguments; both must return as many symbols, of the same shapes.
    name : str
        Of the graphs within.

    Returns
    -------
    Symbol or nested list of Symbol
    """
    graphs, locs, inputs, where, forms = [], [], [], {}, []
    for part, function in (("pred", lambda: symbol_of(pred, "cond: pred")), ("then", then_func), ("else", else_func)):
        with Scope(f"{name}_{part}") as scope:
            items, form = flatten(function(), Symbol, f"cond: result of {part}")
            graph, outside = scope.cut(scope.results(items, [], ()))
        graphs.append(graph)
        forms.append(form)
        locs.append(place(inputs, where, graph, outside, (), ()))
    if len(graphs[1].heads) != len(graphs[2].heads):
        raise MXNetValueError(f"cond: then gives {len(graphs[1].heads)} outputs and else {len(graphs[2].heads)}; they "
                              f"must be as many")
    results = make("_cond", graphs, inputs, num_outputs=len(graphs[1].heads), cond_input_locs=locs[0],
                   then_input_locs=locs[1], else_input_locs=locs[2])
    return regroup(results, forms[1])


def symbol_of(value, what):
    if not isinstance(value, Symbol):
        raise MXNetTypeError(f"{what} is {type(value).__name__}; expected a Symbol")
    return value


def place(inputs, where, graph, outside, held, given):
    """Which input of the node each variable of a graph is; new ones are added to ``inputs``."""
    number = {symbol.heads[0].node: i for i, symbol in enumerate(held)}
    locs = []
    for node, entry in zip(graph.variables, outside):
        key = number[node] if entry is None else entry
        if key not in where:
            where[key] = len(inputs)
            inputs.append(given[key].heads[0] if entry is None else entry)
        locs.append(where[key])
    return locs
