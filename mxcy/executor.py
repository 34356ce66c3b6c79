"""Executor: a symbol bound to arrays."""
from collections import Counter

from mxcy import autograd, nd
from mxcy.base import MXNetError, MXNetTypeError, MXNetValueError, nearest
from mxcy.context import Context, current_context
from mxcy.dtype import dtype_name
from mxcy.graph.graph import Entry, Graph
from mxcy.graph.infer import infer_shapes, infer_types, is_complete
from mxcy.graph.interpret import interpret, needs_interpreter
from mxcy.graph.lower import TooLong, lower
from mxcy.graph.place import contexts, place
from mxcy.imperative._tape import detach, mark_variable
from mxcy.plan._cached import Prepared
from mxcy.plan._plan import Execution
from mxcy.plan.compile import compile_plan

__all__ = ["Executor", "bind", "simple_bind"]


class Executor:
    """A symbol bound to arrays: runs forward and backward on them, by a compiled plan.

    Made by ``Symbol.bind`` and ``Symbol.simple_bind``.

    Parameters
    ----------
    symbol : Symbol
    ctx : Context
    args : list of NDArray
        One for each of ``symbol.list_arguments()``.
    args_grad : list of NDArray or None
        Where gradients go.
    grad_req : list of str
        'write', 'add' or 'null' for each argument.
    aux_states : list of NDArray
        One for each of ``symbol.list_auxiliary_states()``.
    group2ctx : dict of str to Context, optional
        Devices of the groups that the attribute ``ctx_group`` makes.

    Attributes
    ----------
    arg_arrays, grad_arrays, aux_arrays : list of NDArray
    outputs : list of NDArray
        The results; each forward writes them anew.
    """

    def __init__(self, symbol, ctx, args, args_grad, grad_req, aux_states, group2ctx=None):
        self._symbol, self._ctx, self._group2ctx = symbol, ctx, group2ctx
        self._names, self._aux_names = symbol.list_arguments(), symbol.list_auxiliary_states()
        twice = [name for name, count in Counter([*self._names, *self._aux_names]).items() if count > 1]
        if twice:
            raise MXNetValueError(f"bind: there are several variables named {twice[0]!r}; give each a name of its own")
        self.arg_arrays, self.grad_arrays, self.aux_arrays = list(args), list(args_grad), list(aux_states)
        self._grad_req = dict(zip(self._names, grad_req))
        self.arg_dict = dict(zip(self._names, self.arg_arrays))
        self.grad_dict = dict(zip(self._names, self.grad_arrays))
        self.aux_dict = dict(zip(self._aux_names, self.aux_arrays))
        self._graph = symbol.graph
        self._interpreted = needs_interpreter(self._graph, ctx.device_type == "gpu")
        self._programs = {}             # by (training, with gradients, monitored)
        self._execution = self._program = self._recorded = None
        self._monitor = None
        self._monitor_all = False
        types = _types({**self.arg_dict, **self.aux_dict})
        device = contexts(self._graph, group2ctx, ctx) if group2ctx else {}
        self.outputs = [None if shape is None else nd.zeros(shape, device.get(head.node, ctx), dtype)
                        for head, (shape, dtype) in zip(self._graph.heads, self._output_types(types))]
        used = set(device.values())
        if len(used) > 1 and any(where.device_type == "gpu" for where in used):         # a plan is for one device
            self._graph, self._interpreted = place(self._graph, group2ctx, ctx), True

    def _output_types(self, types):
        """Shape and dtype of each output, as the plan will have them; no shape, if it depends on values."""
        if not self._interpreted:
            try:
                return [(entry.shape, entry.dtype) for entry in lower(self._graph, types).heads]
            except TooLong:
                self._interpreted = True
        shapes = infer_shapes(self._graph, {name: shape for name, (shape, _) in types.items()})
        dtypes = infer_types(self._graph, {name: dtype for name, (_, dtype) in types.items()})
        return [(shapes[entry] if is_complete(shapes[entry]) else None, dtypes[entry]) for entry in self._graph.heads]

    @property
    def output_dict(self):
        """The outputs by name."""
        return dict(zip(self._symbol.list_outputs(), self.outputs))

    # -- running -----------------------------------------------------------------------------------------------------

    def forward(self, is_train=False, **kwargs):
        """Compute the outputs.

        Parameters
        ----------
        is_train : bool
            Training mode; `backward` may follow.
        **kwargs : NDArray or array-like
            New values of arguments, copied into them.

        Returns
        -------
        list of NDArray
            `outputs`.
        """
        for name, value in kwargs.items():
            if name not in self.arg_dict:
                raise MXNetTypeError(f"forward: {name!r} is not an argument.{nearest(name, self.arg_dict)} "
                                     f"The arguments are {', '.join(self._names)}")
            target = self.arg_dict[name]
            if tuple(value.shape) != target.shape:
                raise MXNetValueError(f"forward: {name} has shape {tuple(value.shape)}; it is bound as {target.shape}. "
                                      f"Use reshape() for another size.")
            target[:] = value
        if self._interpreted:
            return self._interpret(is_train, is_train)
        self._run_forward(is_train, is_train and any(req != "null" for req in self._grad_req.values()))
        return self.outputs

    def backward(self, out_grads=None, is_train=True):
        """Compute the gradients of the arguments whose ``grad_req`` is not 'null'.

        Parameters
        ----------
        out_grads : NDArray or list of NDArray or None
            Gradient of each output; None where the outputs are losses.
        is_train : bool
            The mode of the forward pass, if it was not run in training mode before.
        """
        if out_grads is None:
            out_grads = [None] * len(self.outputs)
        elif isinstance(out_grads, nd.NDArray):
            out_grads = [out_grads]
        elif isinstance(out_grads, dict):
            out_grads = [out_grads.get(name) for name in self._symbol.list_outputs()]
        if len(out_grads) != len(self.outputs):
            raise MXNetValueError(f"backward: {len(out_grads)} out_grads given; expected {len(self.outputs)}")
        if not any(req != "null" for req in self._grad_req.values()):
            return
        if self._interpreted:
            self._interpreted_backward(out_grads, is_train)
            return
        if self._execution is None or not self._program.grads:
            self._run_forward(is_train, True)
        program, execution = self._program, self._execution
        execution.give_all(program.first_given, [self._out_grad(i, out_grads[i]) for i in program.given])
        execution.give_all(program.first_grad, [self.grad_dict[name] for name, _ in program.grads])
        execution.start(1)

    def _out_grad(self, i, given):
        """The gradient of output ``i``, checked."""
        if given is None:
            if i in self._program.needed:
                raise MXNetError(f"backward: output {self._symbol.list_outputs()[i]!r} is not a loss, so its gradient "
                                 f"is needed: pass out_grads")
            return self.outputs[i]                      # not looked at
        if not isinstance(given, nd.NDArray):
            given = nd.array(given, self._ctx, self.outputs[i].dtype)
        if given.shape != self.outputs[i].shape:
            raise MXNetValueError(f"backward: out_grads[{i}] has shape {given.shape}; the output has "
                                  f"{self.outputs[i].shape}")
        return given.astype(self.outputs[i].dtype, copy=False)

    def use(self, name, array, copy=False):
        """Take ``array`` itself as an argument from now on, where its type and device fit; else a converted copy.

        Parameters
        ----------
        name : str
        array : NDArray
            Of the shape that was bound.
        copy : bool
            Take a copy in any case.
        """
        bound = self.arg_dict[name]
        if array.shape != bound.shape:
            raise MXNetValueError(f"{name} has shape {array.shape}; it is bound as {bound.shape}")
        if array.dtype != bound.dtype or array.context != bound.context:
            array = array.as_in_context(bound.context).astype(bound.dtype)
        elif copy:
            array = array.copy()
        self.arg_dict[name] = self.arg_arrays[self._names.index(name)] = array
        for _, arrays, _, _, places in self._programs.values():
            if name in places:
                arrays[places[name]] = array

    def _run_forward(self, train, with_grads):
        program, arrays, prepared, watched, _ = self._compiled(train, with_grads)
        execution = Execution(program.plan, with_grads)
        if prepared is None:
            execution.give_all(0, arrays)
        else:
            extra = prepared.get(arrays)
            own = program.first_output - len(extra)
            execution.give_all(0, arrays[:own])
            execution.give_all(own, extra)
        outputs = self.outputs
        if watched:
            outputs = outputs + [nd.zeros(*_shape_and_rest(program, slot, self._ctx))
                                 for slot in range(program.first_output + len(outputs), program.first_given)]
        execution.give_all(program.first_output, outputs)
        execution.start(0)
        self._program, self._execution = program, execution
        for name, array in zip(watched, outputs[len(self.outputs):]):
            self._monitor(name, array)

    def _compiled(self, train, with_grads):
        """(program, arrays, what is prepared of them, names of monitored values, places of arrays by name) for a mode,
        made once."""
        key = train, with_grads, self._monitor is not None
        if key not in self._programs:
            heads, watched = list(self._symbol.heads), []
            if self._monitor is not None:
                for name, entry in zip(*_internals(self._symbol)):
                    if self._monitor_all or not entry.node.is_variable:
                        watched.append(name)
                        heads.append(entry)
            arrays = {**self.arg_dict, **self.aux_dict}
            grads = [(name, req == "add") for name, req in self._grad_req.items()
                     if req != "null" and self.grad_dict[name] is not None] if with_grads else ()
            program = compile_plan(Graph(heads), _types(arrays), train=train, grads=grads, n_heads=len(self.outputs),
                                   parameters=() if with_grads else _parameters(self._graph),
                                   group2ctx=self._group2ctx, ctx=self._ctx)
            self._check_outputs(program)
            names = [name for name in program.variables if name in arrays]
            prepared = None
            if program.prepare is not None:
                names += [name for name in program.prepare.variables if name not in names]
                prepared = Prepared(program.prepare, {name: i for i, name in enumerate(names)})
            self._programs[key] = (program, [arrays[name] for name in names], prepared, watched,
                                   {name: i for i, name in enumerate(names)})
        return self._programs[key]

    def _check_outputs(self, program):
        """Raise if mixed precision was turned on after the outputs were made."""
        for i, array in enumerate(self.outputs):
            before, now = array.dtype_name, program.plan.slot_type(program.first_output + i)[1]
            if before != now:
                raise MXNetError(f"output {self._symbol.list_outputs()[i]!r} was bound as {before} and is {now} now: "
                                 "bind the symbol after amp.init(), not before")

    # -- graphs that no plan can be made of --------------------------------------------------------------------------

    def _interpret(self, train, with_grads):
        values = {name: detach(array) for name, array in {**self.arg_dict, **self.aux_dict}.items()}
        for name, req in self._grad_req.items():
            if req != "null" and self.grad_dict[name] is not None:
                mark_variable(values[name], self.grad_dict[name], req)
        with autograd.record(train) if with_grads else autograd.pause(train):
            results = interpret(self._graph, values)
        self._recorded = results if with_grads else None
        for i, (target, source) in enumerate(zip(self.outputs, results)):
            if target is None or target.shape != source.shape:      # its shape depends on values
                self.outputs[i] = source.copy()
            else:
                target[:] = source
        return self.outputs

    def _interpreted_backward(self, out_grads, train):
        if self._recorded is None:
            self._interpret(train, True)
        autograd.backward(self._recorded, [grad if grad is None else grad.as_in_context(result.context)
                                           for grad, result in zip(out_grads, self._recorded)])
        self._recorded = None

    # -- arrays ------------------------------------------------------------------------------------------------------

    def copy_params_from(self, arg_params, aux_params=None, allow_extra_params=False):
        """Copy values into arguments and auxiliary states.

        Parameters
        ----------
        arg_params, aux_params : dict of str to NDArray
        allow_extra_params : bool
            Whether names that the symbol does not have are skipped, rather than an error.
        """
        for own, given, what in ((self.arg_dict, arg_params, "argument"),
                                 (self.aux_dict, aux_params or {}, "auxiliary state")):
            for name, array in given.items():
                if name in own:
                    if array.shape != own[name].shape:
                        raise MXNetValueError(f"{what} {name!r} has shape {array.shape}; it is bound as "
                                              f"{own[name].shape}")
                    own[name][:] = array.astype(own[name].dtype, copy=False)
                elif not allow_extra_params:
                    raise MXNetValueError(f"{name!r} is not an {what} of the symbol.{nearest(name, own)} "
                                          f"Pass allow_extra_params=True to skip it.")

    def reshape(self, partial_shaping=False, allow_up_sizing=False, **kwargs):
        """An executor for other input shapes that shares the arrays whose shapes stay.

        Parameters
        ----------
        partial_shaping : bool
            Whether shapes of arguments that are not named may change too.
        allow_up_sizing : bool
            Whether arrays may become larger than they were.
        **kwargs : tuple of int
            New shapes by name.

        Returns
        -------
        Executor
        """
        shapes, _, aux_shapes = self._symbol.infer_shape(**kwargs)
        if shapes is None:
            raise MXNetValueError(f"reshape: the shapes {kwargs} do not determine those of all arguments")
        args, grads = [], []
        for name, shape, array, grad in zip(self._names, shapes, self.arg_arrays, self.grad_arrays):
            if shape == array.shape:
                args.append(array)
                grads.append(grad)
                continue
            if not partial_shaping and name not in kwargs:
                raise MXNetValueError(f"reshape: {name} would change from {array.shape} to {shape}; name it, or pass "
                                      f"partial_shaping=True")
            if not allow_up_sizing and _size(shape) > array.size:
                raise MXNetValueError(f"reshape: {name} would grow from {array.shape} to {shape}; pass "
                                      f"allow_up_sizing=True")
            args.append(nd.zeros(shape, array.context, array.dtype))
            grads.append(None if grad is None else nd.zeros(shape, grad.context, grad.dtype))
        aux = [array if shape == array.shape else nd.zeros(shape, array.context, array.dtype)
               for shape, array in zip(aux_shapes, self.aux_arrays)]
        return Executor(self._symbol, self._ctx, args, grads, list(self._grad_req.values()), aux, self._group2ctx)

    # -- looking inside ----------------------------------------------------------------------------------------------

    def set_monitor_callback(self, callback, monitor_all=False):
        """Have ``callback(name, array)`` called with the outputs of every node after each forward.

        Parameters
        ----------
        callback : callable or None
        monitor_all : bool
            With the variables too.
        """
        self._monitor, self._monitor_all = callback, monitor_all
        self._programs = {key: made for key, made in self._programs.items() if not key[2]}

    def debug_str(self):
        """The symbol's nodes, and how much memory the plan takes."""
        made = self._programs or {None: self._compiled(False, False)}
        nbytes = max(program.plan.arena_bytes for program, *_ in made.values())
        return f"{self._symbol.debug_str()}Total {nbytes / 2 ** 20:.4g} MB allocated\n"

    def get_optimized_symbol(self):
        """The symbol; what passes make of it is seen in `plans`."""
        return self._symbol

    @property
    def plans(self):
        """The programs that were made so far."""
        return [program for program, *_ in self._programs.values()]


def _parameters(graph):
    """Variables that are no operator's first input: weights and the like, which seldom change in prediction."""
    data = {node.inputs[0].node for node in graph.nodes if node.inputs}
    return {node.name for node in graph.variables if node not in data}


def _types(arrays):
    return {name: (array.shape, dtype_name(array.dtype)) for name, array in arrays.items()}


def _size(shape):
    total = 1
    for n in shape:
        total *= n
    return total


def _shape_and_rest(program, slot, ctx):
    shape, dtype = program.plan.slot_type(slot)
    return shape, ctx, dtype


def _internals(symbol):
    """(names, entries) of all values of the graph."""
    internals = symbol.get_internals()
    return internals.list_outputs(), [Entry(*head) for head in internals.heads]


# -- binding -----------------------------------------------------------------------------------------------------------

def bind(symbol, ctx, args, args_grad=None, grad_req="write", aux_states=None, group2ctx=None, shared_exec=None):
    """What ``Symbol.bind`` does: see there."""
    ctx = Context(ctx) if ctx is not None else current_context()
    names, aux_names = symbol.list_arguments(), symbol.list_auxiliary_states()
    args = _listed("args", args, names)
    aux = _listed("aux_states", aux_states if aux_states is not None else [] if not aux_names else None, aux_names)
    if args_grad is None:
        grads = [None] * len(names)
    elif isinstance(args_grad, dict):
        grads = [args_grad.get(name) for name in names]
    else:
        grads = _listed("args_grad", args_grad, names, optional=True)
    reqs = _requests(grad_req, names)
    reqs = ["null" if grad is None else req for grad, req in zip(grads, reqs)]
    for name, array, grad in zip(names, args, grads):
        if grad is not None and grad.shape != array.shape:
            raise MXNetValueError(f"bind: the gradient array of {name} has shape {grad.shape}; the argument has "
                                  f"{array.shape}")
    return Executor(symbol, ctx, args, grads, reqs, aux, group2ctx)


def simple_bind(symbol, ctx=None, grad_req="write", type_dict=None, group2ctx=None, shared_exec=None, **shapes):
    """What ``Symbol.simple_bind`` does: see there."""
    ctx = Context(ctx) if ctx is not None else current_context()
    names, aux_names = symbol.list_arguments(), symbol.list_auxiliary_states()
    unknown = [name for name in shapes if name not in names and name not in aux_names]
    if unknown:
        raise MXNetValueError(f"simple_bind: {unknown[0]!r} is not an argument.{nearest(unknown[0], names)} "
                              f"The arguments are {', '.join(names)}")
    arg_shapes, _, aux_shapes = symbol.infer_shape(**{k: v for k, v in shapes.items() if k in names})
    if arg_shapes is None:
        partial = symbol.infer_shape_partial(**{k: v for k, v in shapes.items() if k in names})[0]
        left = [f"{name} {shape}" for name, shape in zip(names, partial) if not shape or 0 in shape or -1 in shape]
        raise MXNetValueError(f"simple_bind: the shapes of {', '.join(left)} do not follow from "
                              f"{shapes or 'nothing'}; give more shapes")
    arg_types, _, aux_types = symbol.infer_type(**(type_dict or {}))
    reqs = _requests(grad_req, names)
    if shared_exec is None:
        own_args = own_grads = own_aux = {}
    else:
        own_args, own_grads, own_aux = shared_exec.arg_dict, shared_exec.grad_dict, shared_exec.aux_dict
    device = {}
    if group2ctx:
        device = {node.name: found for node, found in contexts(symbol.graph, group2ctx, ctx).items()
                  if node.is_variable}
    args = [_array({} if name in shapes else own_args, name, shape, dtype_name(dtype), device.get(name, ctx))
            for name, shape, dtype in zip(names, arg_shapes, arg_types)]
    grads = [None if req == "null" else _array(own_grads, name, shape, dtype_name(dtype), device.get(name, ctx))
             for name, shape, dtype, req in zip(names, arg_shapes, arg_types, reqs)]
    aux = [_array(own_aux, name, shape, dtype_name(dtype), device.get(name, ctx))
           for name, shape, dtype in zip(aux_names, aux_shapes, aux_types)]
    return Executor(symbol, ctx, args, grads, reqs, aux, group2ctx)


def _array(shared, name, shape, dtype, ctx):
    """The array of that name, shape and dtype among those to share, or a new one."""
    found = shared.get(name)
    if found is not None and found.shape == shape and dtype_name(found.dtype) == dtype and found.context == ctx:
        return found
    return nd.zeros(shape, ctx, dtype)


def _listed(what, given, names, optional=False):
    """Arrays in the order of names, from a list or a dict."""
    if isinstance(given, dict):
        missing = [name for name in names if name not in given]
        if missing:
            raise MXNetValueError(f"bind: {what} lacks {', '.join(missing)}")
        given = [given[name] for name in names]
    if given is None or len(given) != len(names):
        raise MXNetValueError(f"bind: {what} has {len(given or ())} arrays; expected {len(names)}: {', '.join(names)}")
    for name, array in zip(names, given):
        if not isinstance(array, nd.NDArray) and not (optional and array is None):
            raise MXNetTypeError(f"bind: {what}: {name} is {type(array).__name__}; expected an NDArray")
    return list(given)


def _requests(grad_req, names):
    """A grad_req for each name, from one, a list or a dict."""
    if isinstance(grad_req, str):
        grad_req = [grad_req] * len(names)
    elif isinstance(grad_req, dict):
        grad_req = [grad_req.get(name, "null") for name in names]
    if len(grad_req) != len(names):
        raise MXNetValueError(f"grad_req has {len(grad_req)} entries; expected {len(names)}")
    for req in grad_req:
        if req not in ("write", "add", "null"):
            raise MXNetValueError(f"grad_req is {req!r}; expected 'write', 'add' or 'null'")
    return list(grad_req)
