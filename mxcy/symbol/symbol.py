"""Symbol: outputs of a graph that has not been given arrays yet."""
import numpy as np

from mxcy import initializer
from mxcy.base import MXNetError, MXNetNotImplementedError, MXNetTypeError, MXNetValueError, nearest
from mxcy.context import current_context
from mxcy.dtype import CODES, NUMPY, dtype_name
from mxcy.graph.graph import Entry, Graph, Node
from mxcy.graph.infer import infer_shapes, infer_types, is_complete
from mxcy.ndarray._ndarray import NDArray
from mxcy.ndarray.arithmetic import NUMBER
from mxcy.ndarray.serialization import replacing
from mxcy.ops.operator import REGISTRY
from mxcy.symbol.compose import HIDDEN, apply, text, user_attributes
from mxcy.symbol.files import auxiliary_positions, dumps, loads, outputs_in_mxnet

__all__ = ["Group", "Symbol", "fromjson", "load", "load_json", "var"]


class Symbol:
    """One or more outputs of a graph of operators.

    Made by `var`, by the functions of ``mx.sym``, by arithmetic, and from files.

    Parameters
    ----------
    heads : list of Entry
        The outputs.

    Examples
    --------
    >>> x = var("x")
    >>> y = 2 * x + 1
    >>> y.list_arguments()
    ['x']
    >>> y.eval(x=nd.array([1, 2]))[0].asnumpy()
    array([3., 5.], dtype=float32)
    """

    __array_ufunc__ = None              # NumPy leaves arithmetic with symbols to them

    def __init__(self, heads):
        self._heads = heads
        self._graph = self._inputs = None       # made when first asked for; nodes never get other inputs

    @classmethod
    def of_node(cls, node):
        """All visible outputs of a node."""
        return cls([Entry(node, i) for i in range(node.n_visible)])

    @property
    def heads(self):
        """The entries of the graph that this symbol stands for."""
        return self._heads

    @property
    def graph(self):
        """The graph."""
        if self._graph is None:
            self._graph = Graph(self._heads)
        return self._graph

    def __repr__(self):
        if self.name is None:
            return f"<{type(self).__name__} group [{', '.join(dict.fromkeys(e.node.name for e in self._heads))}]>"
        return f"<{type(self).__name__} {self.name}>"

    @property
    def name(self):
        """The name of the node; None for a group."""
        nodes = {entry.node for entry in self._heads}
        return self._heads[0].node.name if len(nodes) == 1 else None

    # -- parts -------------------------------------------------------------------------------------------------------

    def __len__(self):
        return len(self._heads)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index):
        if isinstance(index, slice):
            return Symbol(self._heads[index])
        if isinstance(index, str):
            names = self.list_outputs()
            found = [i for i, name in enumerate(names) if name == index]
            if not found:
                raise MXNetValueError(f"there is no output {index!r}.{nearest(index, names)}")
            if len(found) > 1:
                raise MXNetValueError(f"there are {len(found)} outputs {index!r}; choose one by its number")
            index = found[0]
        if not isinstance(index, (int, np.integer)):
            raise MXNetTypeError(f"a symbol is indexed by a number or a name, not {type(index).__name__}")
        if not -len(self) <= index < len(self):
            raise IndexError(f"output {index} of a symbol with {len(self)}")
        return Symbol([self._heads[index]])

    def get_internals(self):
        """A group of the outputs of all nodes."""
        return Symbol([Entry(node, i) for node in self.graph.nodes for i in range(node.n_visible)])

    def get_children(self):
        """A group of the inputs of the outputs' nodes; None for variables."""
        inputs = [entry for node in dict.fromkeys(e.node for e in self._heads) for entry in node.inputs]
        return Symbol(inputs) if inputs else None

    def get_inputs(self):
        """A group of all variables."""
        return Symbol([Entry(node, 0) for node in self.graph.variables])

    def _variables(self):
        """(arguments, auxiliary states) as nodes."""
        if self._inputs is None:
            variables = self.graph.variables
            states = {node.inputs[i].node for node in self.graph.nodes for i in auxiliary_positions(node)}
            self._inputs = [node for node in variables if node not in states], [n for n in variables if n in states]
        return self._inputs

    def list_arguments(self):
        """Names of the variables that are no auxiliary states."""
        return [node.name for node in self._variables()[0]]

    def list_auxiliary_states(self):
        """Names of the variables that operators keep, such as moving averages."""
        return [node.name for node in self._variables()[1]]

    def list_inputs(self):
        """Names of all variables."""
        return [node.name for node in self.graph.variables]

    def list_outputs(self):
        """Names of the outputs."""
        return [output_name(entry) for entry in self._heads]

    @property
    def num_outputs(self):
        """Number of outputs."""
        return len(self._heads)

    # -- attributes --------------------------------------------------------------------------------------------------

    def _single(self):
        nodes = {entry.node for entry in self._heads}
        if len(nodes) != 1:
            raise MXNetError("a group has no attributes of its own; index it first")
        return self._heads[0].node

    def attr(self, key):
        """The attribute ``key`` of this node, or None."""
        if not isinstance(key, str):
            raise MXNetTypeError(f"attr: the name of an attribute is text, not {type(key).__name__}")
        return readable(self._single()).get(key)

    def list_attr(self, recursive=False):
        """The attributes of this node as a dict."""
        if recursive:
            raise MXNetValueError("list_attr: recursive is gone; use attr_dict()")
        return readable(self._single())

    def attr_dict(self):
        """The attributes of all nodes that have some, by node name."""
        return {node.name: readable(node) for node in self.graph.nodes if node.attrs}

    def _set_attr(self, **kwargs):
        node = self._single()
        for key, value in kwargs.items():
            if not isinstance(value, str):
                raise MXNetValueError(f"attribute {key} is {value!r}; attributes are text")
            node.attrs[f"__{key}__" if key in HIDDEN else key] = value

    # -- composition -------------------------------------------------------------------------------------------------

    def __call__(self, *args, **kwargs):
        """A copy in which symbols take the place of variables.

        Parameters
        ----------
        *args : Symbol
            In the order of `list_arguments`.
        name : str, optional
            New name of the output's node.
        **kwargs : Symbol
            By name of variable.

        Returns
        -------
        Symbol
        """
        name = kwargs.pop("name", None)
        if args and kwargs:
            raise MXNetTypeError("compose with positional symbols or with named ones, not both")
        arguments = self.list_inputs()
        if args:
            if len(args) > len(arguments):
                raise MXNetTypeError(f"{len(args)} symbols given; the arguments are {', '.join(arguments)}")
            kwargs = dict(zip(arguments, args))
        for key, value in kwargs.items():
            if key not in arguments:
                raise MXNetValueError(f"{key!r} is not an argument.{nearest(key, arguments)} "
                                      f"The arguments are {', '.join(arguments)}")
            if not isinstance(value, Symbol) or len(value) != 1:
                raise MXNetTypeError(f"{key} must be a Symbol with one output, got {value!r}")
        last = self._heads[0].node

        def put(node, inputs):
            if node.op is None:
                return [kwargs[node.name].heads[0]] if node.name in kwargs else None
            if node is last and name is not None:
                return outputs_of(copy_of(node, inputs, name))
            return None
        return Symbol(self.graph.map(put).heads)

    def __copy__(self):
        return self.__deepcopy__(None)

    def __deepcopy__(self, memo):
        return Symbol(self.graph.map(lambda node, inputs: outputs_of(copy_of(node, inputs, node.name))).heads)

    def __reduce__(self):
        return fromjson, (self.tojson(),)

    # -- inference ---------------------------------------------------------------------------------------------------

    def infer_shape(self, *args, **kwargs):
        """Shapes of all arguments, outputs and auxiliary states.

        Parameters
        ----------
        *args : tuple of int
            Shapes in the order of `list_arguments`; None: unknown.
        **kwargs : tuple of int
            Shapes by name. An unknown size is 0.

        Returns
        -------
        arg_shapes, out_shapes, aux_shapes : list of tuple, or None
            None, all three, if some shape does not follow.
        """
        found = self._shapes(args, kwargs)
        if all(is_complete(shape) for shapes in found for shape in shapes):
            return found
        return None, None, None

    def infer_shape_partial(self, *args, **kwargs):
        """As `infer_shape`, with ``()`` for what is unknown and 0 for unknown sizes."""
        return tuple([tuple(max(n, 0) for n in shape or ()) for shape in shapes]
                     for shapes in self._shapes(args, kwargs))

    def _shapes(self, args, kwargs):
        graph, known = self._known("infer_shape", args, kwargs)
        for name, shape in known.items():
            if not isinstance(shape, (tuple, list)):
                raise MXNetTypeError(f"infer_shape: the shape of {name} is {shape!r}; expected a tuple")
        values = infer_shapes(graph, known)
        return self._sorted(values.get)

    def infer_type(self, *args, **kwargs):
        """Dtypes of all arguments, outputs and auxiliary states, as NumPy types.

        Parameters
        ----------
        *args, **kwargs : dtype
            As in `infer_shape`.

        Returns
        -------
        arg_types, out_types, aux_types : list of type
        """
        graph, known = self._known("infer_type", args, kwargs)
        values = infer_types(graph, known)
        return self._sorted(lambda entry: numpy_type(values.get(entry)))

    def infer_type_partial(self, *args, **kwargs):
        """As `infer_type`, with None for what does not follow."""
        graph, known = self._known("infer_type", args, kwargs)
        values = infer_types(graph, known, default=None)
        return self._sorted(lambda entry: numpy_type(values.get(entry)))

    def _known(self, what, args, kwargs):
        graph = self.graph
        if args and kwargs:
            raise MXNetTypeError(f"{what}: pass positional arguments or named ones, not both")
        names = self.list_arguments()
        if len(args) > len(names):
            raise MXNetTypeError(f"{what}: {len(args)} given; the arguments are {', '.join(names)}")
        known = {name: value for name, value in zip(names, args) if value is not None} or dict(kwargs)
        inputs = {node.name for node in graph.variables}
        for name in known:
            if name not in inputs:
                raise MXNetValueError(f"{what}: {name!r} is not an argument.{nearest(name, inputs)} "
                                      f"The arguments are {', '.join(names)}")
        return graph, known

    def _sorted(self, look):
        arguments, states = self._variables()
        return ([look(Entry(node, 0)) for node in arguments], [look(entry) for entry in self._heads],
                [look(Entry(node, 0)) for node in states])

    # -- files -------------------------------------------------------------------------------------------------------

    def tojson(self, remove_amp_cast=True):
        """The graph as JSON text, as MXNet 1.9.1 writes it.

        Parameters
        ----------
        remove_amp_cast : bool
            Leave out the casts that mixed precision put in.
        """
        heads = self._heads
        if remove_amp_cast and any(node.op is not None and node.op.name in CASTS for node in self.graph.nodes):
            heads = without_casts(self.graph).heads
        return dumps(heads)

    def save(self, fname, remove_amp_cast=True):
        """Write `tojson` to a file.

        Parameters
        ----------
        fname : str
        remove_amp_cast : bool
        """
        with replacing(fname) as file:
            file.write(self.tojson(remove_amp_cast).encode())

    def debug_str(self):
        """The nodes with their inputs and attributes, for people."""
        graph = self.graph
        lines = ["Symbol Outputs:"]
        lines += [f"\toutput[{i}]={entry.node.name}({entry.index})" for i, entry in enumerate(self._heads)]
        for node in graph.nodes:
            if node.op is None:
                lines.append(f"Variable:{node.name}")
                continue
            lines += ["-" * 20, f"Op:{node.op.name}, Name={node.name}", "Inputs:"]
            states = auxiliary_positions(node)
            for i, entry in enumerate(node.inputs):
                version = f" version={int(i in states)}" if entry.node.op is None else ""
                lines.append(f"\targ[{i}]={entry.node.name}({entry.index}){version}")
            if node.attrs:
                lines += ["Attrs:", *(f"\t{key}={value}" for key, value in sorted(node.attrs.items()))]
        return "\n".join(lines) + "\n"

    # -- running -----------------------------------------------------------------------------------------------------

    def eval(self, ctx=None, **kwargs):
        """Compute the outputs once.

        Parameters
        ----------
        ctx : Context, optional
        **kwargs : NDArray
            Arrays for all arguments.

        Returns
        -------
        list of NDArray
        """
        return self.bind(current_context() if ctx is None else ctx, kwargs, grad_req="null").forward()

    def bind(self, ctx, args, args_grad=None, grad_req="write", aux_states=None, group2ctx=None, shared_exec=None):
        """An executor on arrays that exist.

        Parameters
        ----------
        ctx : Context
        args : list or dict of NDArray
            For each argument.
        args_grad : list or dict of NDArray, optional
            Where gradients go; arguments without one get none.
        grad_req : str, or list or dict of str
            'write', 'add' or 'null'.
        aux_states : list or dict of NDArray, optional
        group2ctx : dict of str to Context, optional
            Devices of the groups that the attribute ``ctx_group`` makes.
        shared_exec : Executor, optional
            Accepted; memory is shared in any case.

        Returns
        -------
        Executor
        """
        from mxcy import executor
        return executor.bind(self, ctx, args, args_grad, grad_req, aux_states, group2ctx, shared_exec)

    def simple_bind(self, ctx=None, grad_req="write", type_dict=None, stype_dict=None, group2ctx=None,
                    shared_arg_names=None, shared_exec=None, shared_buffer=None, **kwargs):
        """An executor on new arrays of zeros.

        Parameters
        ----------
        ctx : Context
        grad_req : str, or list or dict of str
        type_dict : dict of str to dtype, optional
        stype_dict : dict, optional
            Storage types; only 'default' exists here.
        group2ctx : dict of str to Context, optional
        shared_arg_names : list of str, optional
            Accepted.
        shared_exec : Executor, optional
            Take arrays of the same name, shape and dtype from it.
        shared_buffer : dict, optional
            Accepted.
        **kwargs : tuple of int
            Shapes of inputs, by name.

        Returns
        -------
        Executor
        """
        from mxcy import executor
        return executor.simple_bind(self, ctx, grad_req, type_dict, group2ctx, shared_exec, **kwargs)

    def gradient(self, wrt):
        """Not possible, as in MXNet: bind the symbol and call ``backward``, or record a hybridized block.

        Parameters
        ----------
        wrt : list of str
        """
        raise MXNetNotImplementedError("Symbol.gradient: bind the symbol and call the executor's backward(), which "
                                       f"computes the gradients of {', '.join(wrt)}")

    def get_backend_symbol(self, backend):
        """The symbol itself: plans are optimised when they are made, for whatever they run on.

        Parameters
        ----------
        backend : str
            Accepted.

        Returns
        -------
        Symbol
        """
        return self

    def optimize_for(self, backend, args=None, aux=None, ctx=None, **kwargs):
        """The symbol itself: plans are optimised when they are made, for whatever they run on.

        Parameters
        ----------
        backend : str
            Accepted, as are all others.
        args, aux : dict of str to NDArray, optional
        ctx : Context, optional
        **kwargs
            Shapes, dtypes and options of a backend.

        Returns
        -------
        Symbol
        """
        return self

    def as_nd_ndarray(self):
        """The symbol itself: it is one of ``mx.sym`` already."""
        return self

    # -- what symbols cannot -----------------------------------------------------------------------------------------

    def __bool__(self):
        raise NotImplementedForSymbol("__bool__ (if, and, or, not, while)")

    __hash__ = object.__hash__


class NotImplementedForSymbol(MXNetError, NotImplementedError):
    """A symbol has no values yet, so this can only be done with an NDArray."""

    def __init__(self, name):
        super().__init__(f"{name} is not possible with a Symbol, which has no values until it is bound; it is with an "
                         f"NDArray")


def refuse(name):
    def method(self, *args, **kwargs):
        raise NotImplementedForSymbol(name)
    method.__name__ = method.__qualname__ = name
    method.__doc__ = "Only for NDArrays; raises."
    return method


for _name in ("asnumpy", "asscalar", "copyto", "as_in_context", "detach", "backward", "wait_to_read", "item",
              "__float__", "__int__", "__array__", "__iadd__", "__isub__", "__imul__", "__itruediv__", "__imod__",
              "__setitem__"):
    setattr(Symbol, _name, refuse(_name))

CASTS = ("amp_cast", "amp_multicast")
#: Operators whose outputs have names in MXNet; those of others are counted, if there are several.
NAMED = ("BatchNorm", "Dropout", "GroupNorm", "InstanceNorm", "L2Normalization", "LRN", "LayerNorm", "LeakyReLU",
         "Pooling", "RNN", "_contrib_SyncBatchNorm")


def without_casts(graph):
    """The graph less the casts of mixed precision; one that is an output stays, as in MXNet."""
    def source(entry):
        while entry.node.op is not None and entry.node.op.name in CASTS:
            entry = entry.node.inputs[entry.index]
        return entry

    def direct(node, inputs):
        sources = [source(entry) for entry in inputs]
        return outputs_of(node.replace(sources)) if sources != inputs else None
    return graph.map(direct)


def outputs_of(node):
    return [Entry(node, i) for i in range(node.n_outputs)]


def copy_of(node, inputs, name):
    return Node(node.op, name, inputs, dict(node.attrs), subgraphs=node.subgraphs)


def output_name(entry):
    """The name under which users know a value."""
    node, index = entry
    if node.op is None:
        return node.name
    if node.op.name in NAMED:
        name = node.op.outputs[index]
        return f"{node.name}_{'output' if name == 'out' else name}"
    if node.op.name == "make_loss":
        return f"{node.name}_loss"
    return f"{node.name}_output{index if outputs_in_mxnet(node) > 1 else ''}"


def readable(node):
    """A node's attributes, the hidden ones also under their plain names."""
    plain = {key: node.attrs[f"__{key}__"] for key in HIDDEN if f"__{key}__" in node.attrs}
    return {**node.attrs, **plain}


def numpy_type(name):
    return None if name is None else NUMPY[name].type


# -- arithmetic --------------------------------------------------------------------------------------------------------

def arithmetic(same, number, reverse=None):
    """A method behind a Python operator: the operators for a symbol and for a number, and what nodes are called."""
    def method(self, other):
        if isinstance(other, Symbol):
            return Symbol.of_node(apply(REGISTRY[same[0]], same[1], [one(self), one(other)], {}))
        if isinstance(other, NUMBER):
            op, hint = number if reverse is None else reverse
            other = int(other) if isinstance(other, bool) else other
            return Symbol.of_node(apply(REGISTRY[op], hint, [one(self)], {"scalar": other}))
        if isinstance(other, (np.ndarray, NDArray)):
            raise MXNetTypeError(f"{self!r} has no values until it is bound, so it cannot be combined with an array; "
                                 f"make the array an argument, mx.sym.var(name), and bind it")
        return NotImplemented
    return method


def one(symbol):
    if len(symbol) != 1:
        raise MXNetValueError(f"{symbol!r} has {len(symbol)} outputs; choose one by its index")
    return symbol.heads[0]


for _python, _same, _stem, _mirror in (
        ("add", "elemwise_add", "plus", "plus"), ("sub", "elemwise_sub", "minus", "rminus"),
        ("mul", "elemwise_mul", "mul", "mul"), ("truediv", "elemwise_div", "div", "rdiv"),
        ("mod", "_mod", "mod", "rmod"), ("pow", "_power", "power", "rpower")):
    _forms = (_same, f"_{_stem}"), (f"_{_stem}_scalar", f"_{_stem}scalar")
    setattr(Symbol, f"__{_python}__", arithmetic(*_forms))
    _hint = f"_{_mirror}scalar" if _mirror != "rpower" else "_rpower_scalar"
    setattr(Symbol, f"__r{_python}__", arithmetic(*_forms, (f"_{_mirror}_scalar", _hint)))
for _python, _stem in (("eq", "equal"), ("ne", "not_equal"), ("gt", "greater"), ("ge", "greater_equal"),
                       ("lt", "lesser"), ("le", "lesser_equal")):
    setattr(Symbol, f"__{_python}__", arithmetic((f"_{_stem}", f"_{_stem}"), (f"_{_stem}_scalar", f"_{_stem}_scalar")))
Symbol.__neg__ = lambda self: self * -1.0
Symbol.__abs__ = lambda self: Symbol.of_node(apply(REGISTRY["abs"], "abs", [one(self)], {}))


# -- making symbols ----------------------------------------------------------------------------------------------------

def var(name, attr=None, shape=None, lr_mult=None, wd_mult=None, dtype=None, init=None, stype=None, profiler_scope=None,
        **kwargs):
    """A variable: an input of a graph.

    Parameters
    ----------
    name : str
    attr : dict of str to str, optional
        Attributes.
    shape : tuple of int, optional
    lr_mult, wd_mult : float, optional
        Factors on the learning rate and the weight decay.
    dtype : str or numpy dtype, optional
    init : Initializer or str, optional
    stype : str, optional
        Storage type, kept as an attribute.
    profiler_scope : str, optional
        Accepted.
    **kwargs : str
        Further attributes, whose names stand between double underscores.

    Returns
    -------
    Symbol
    """
    if not isinstance(name, str):
        raise MXNetTypeError(f"a variable's name is text, not {type(name).__name__}")
    attrs = user_attributes(attr)
    for key, value in (("shape", shape), ("lr_mult", lr_mult), ("wd_mult", wd_mult)):
        if value is not None:
            attrs[f"__{key}__"] = text(value)
    if dtype is not None:
        attrs["__dtype__"] = str(CODES[dtype_name(dtype)])
    if init is not None:
        attrs["__init__"] = init.dumps() if isinstance(init, initializer.Initializer) else init
    if stype is not None:
        attrs["__storage_type__"] = str({"default": 0, "row_sparse": 1, "csr": 2}[stype])
    for key, value in kwargs.items():
        if not (key.startswith("__") and key.endswith("__")):
            raise MXNetValueError(f"attribute {key} of variable {name!r}: further attributes begin and end with double "
                                  f"underscores, such as __{key}__")
        attrs[key] = str(value)
    return Symbol([Entry(Node(None, name, (), attrs), 0)])


def Group(symbols):
    """The outputs of several symbols as one.

    Parameters
    ----------
    symbols : list of Symbol

    Returns
    -------
    Symbol
    """
    symbols = list(symbols) if isinstance(symbols, (list, tuple, Symbol)) else []
    if not symbols or not all(isinstance(symbol, Symbol) for symbol in symbols):
        raise MXNetTypeError("Group: expected a list of symbols")
    return Symbol([entry for symbol in symbols for entry in symbol.heads])


def load_json(json_str):
    """The symbol that a JSON text describes, in the form of any version of MXNet.

    Parameters
    ----------
    json_str : str

    Returns
    -------
    Symbol
    """
    if not isinstance(json_str, str):
        raise MXNetTypeError(f"load_json: expected text, got {type(json_str).__name__}")
    return Symbol(loads(json_str))


fromjson = load_json


def load(fname):
    """The symbol in a file.

    Parameters
    ----------
    fname : str

    Returns
    -------
    Symbol
    """
    if not isinstance(fname, str):
        raise MXNetTypeError(f"load: the name of a file is text, not {type(fname).__name__}")
    with open(fname, encoding="utf-8") as file:
        try:
            text_ = file.read()
        except UnicodeDecodeError as error:
            raise MXNetValueError(f"{fname} is not a symbol file: {error}") from None
    return load_json(text_)
