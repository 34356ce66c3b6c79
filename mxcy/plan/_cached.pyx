# cython: language_level=3, boundscheck=False, wraparound=False
"""CachedOp: a graph as a function of arrays, with a plan for every signature that it met."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp

from mxcy.imperative._execute cimport apart
from mxcy.imperative._invoke cimport precision_changes
from mxcy.imperative._state cimport State, state
from mxcy.ndarray._ndarray cimport NDArray
from mxcy.plan._plan cimport Execution, Plan
from mxcy.storage._storage cimport GPU

from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.graph.graph import Graph
from mxcy.graph.interpret import interpret, needs_interpreter
from mxcy.graph.lower import TooLong
from mxcy.imperative._function import F
from mxcy.imperative._tape import attach_function
from mxcy.plan.compile import compile_plan, gradient_graph

cdef enum:
    PLANS = 64                          # kept per CachedOp


cdef class Prepared:
    """What a plan computes from parameters beforehand, and which state of them it was computed from.

    Parameters
    ----------
    program : Program
    where : dict of str to int
        Positions of the variables among the arrays that are given.
    """
    cdef object program                 # mxcy.plan.compile.Program
    cdef list positions                 # of its variables among the inputs of the CachedOp
    cdef list outputs                   # the arrays, None before the first time
    cdef list chunks                    # (address of the storage, writes asked for) of each variable then

    def __init__(self, program, dict where):
        self.program, self.outputs, self.chunks = program, None, None
        self.positions = [where[name] for name in program.variables]

    cpdef list get(self, list arrays):
        """The arrays, computed again if a parameter changed.

        Parameters
        ----------
        arrays : list of NDArray
            Those that positions refer to.
        """
        cdef list seen = []
        cdef NDArray array
        cdef bint foreign = False
        for at in self.positions:
            array = <NDArray>arrays[at]
            seen.append((<size_t>array.data, array.chunk.var.writes))
            # Memory that others may write without our knowing; that of a device's pool is its own owner.
            foreign = foreign or (array.chunk.free != NULL and array.chunk.owner != <void*>array.chunk)
        cdef list outputs = self.outputs                        # other threads may exchange it
        if outputs is None or foreign or seen != self.chunks:
            outputs = run_forward(self.program, [arrays[at] for at in self.positions])
            self.outputs, self.chunks = outputs, seen
        return outputs


cdef list run_forward(program, list arrays):
    """The outputs of a program that has no backward phase and prepares nothing."""
    cdef Plan plan = program.plan
    cdef Execution execution = Execution(plan, False)
    cdef NDArray array
    cdef int slot = 0, device_type = 1, device_id = 0
    cdef list outputs = []
    for array in arrays:
        execution.put(slot, array)
        device_type, device_id = array.chunk.device_type, array.chunk.device_id
        slot += 1
    for _ in range(program.n_outputs):
        array = plan.new_array(slot, device_type, device_id)
        execution.put(slot, array)
        outputs.append(array)
        slot += 1
    execution.launch(0)
    return outputs


cdef class Compiled:
    """A Program as CachedOp uses it."""
    cdef bytes key
    cdef readonly object program
    cdef Plan plan
    cdef list positions                 # of the program's variables among the inputs of the CachedOp
    cdef Prepared prepared              # or None
    cdef tuple wanted                   # positions of the inputs that receive gradients
    cdef int n_outputs, first_given, first_grad
    cdef list given

    def __init__(self, program, dict where):
        self.program, self.plan = program, program.plan
        self.prepared = None if program.prepare is None else Prepared(program.prepare, where)
        n_prepared = 0 if program.prepare is None else program.prepare.n_outputs
        self.positions = [where[name] for name in program.variables[:len(program.variables) - n_prepared]]
        self.wanted = tuple([where[name] for name, _ in program.grads])
        self.n_outputs, self.given = program.n_outputs, program.given
        self.first_given, self.first_grad = program.first_given, program.first_grad

    cdef void forget(self):
        """Let go of what was computed from parameters."""
        if self.prepared is not None:
            self.prepared.outputs = None


cdef bint fits(Plan plan, int slot, NDArray array):
    """Whether the array has the shape and dtype of a slot."""
    cdef int axis
    if array.code != plan.types.codes[slot] or array.rank != plan.types.ranks[slot]:
        return False
    for axis in range(array.rank):
        if array.dims[axis] != plan.types.dims[slot][axis]:
            return False
    return True


cdef class Backward:
    """The gradient of one call: what the tape calls."""
    cdef Execution execution
    cdef Compiled compiled
    cdef CachedOp owner
    cdef list arrays                    # the inputs of the call

    def __call__(self, list grads, list targets):
        cdef Compiled c = self.compiled
        cdef NDArray array
        cdef int slot = c.first_given, i
        cdef list results = []
        if state().recording:                   # create_graph: the same rules again, as recorded operations
            return tuple(self.owner.recorded_gradient(c, self.arrays, grads))
        for i in c.given:
            array = grads[i]
            if array is None:
                shape, dtype = c.plan.slot_type(slot)
                array = F._zeros(shape=shape, dtype=dtype, ctx=str((<NDArray>self.arrays[0]).context))
            self.execution.put(slot, array)
            slot += 1
        array = <NDArray>self.arrays[0]
        cdef int device_type = array.chunk.device_type, device_id = array.chunk.device_id
        for target in targets:
            if target is not None and fits(c.plan, slot, target):
                array = target
            else:
                array = c.plan.new_array(slot, device_type, device_id)
            self.execution.put(slot, array)
            results.append(array)
            slot += 1
        self.execution.launch(1)
        return tuple(results)


cdef class CachedOp:
    """A graph as a function of arrays.

    Parameters
    ----------
    graph : Graph
        Of a symbol; its heads are the results.
    names : sequence of str
        The variables of the graph, in the order in which arrays are given. Names that the graph does not use are
        allowed.
    parameters : collection of str
        Those that seldom change: in prediction what depends on them alone is computed once.
    **options
        Of `compile_plan`.

    Examples
    --------
    >>> import mxcy as mx
    >>> from mxcy.graph.build import variable
    >>> from mxcy.graph.graph import Graph
    >>> double = CachedOp(Graph([(variable("x", (2,)) * 2).entry]), ["x"])
    >>> double(mx.nd.array([1, 2])).asnumpy()
    array([2., 4.], dtype=float32)
    """
    cdef readonly object graph, parameters
    cdef readonly list names
    cdef dict where, programs, options
    cdef Compiled last
    cdef bint interpreted, interpreted_on_gpus, interpreted_in_training
    cdef bint prepared                  # a plan holds what it computed from parameters
    cdef object __weakref__

    def __init__(self, graph, names, parameters=(), **options):
        self.graph, self.names, self.parameters = graph, list(names), frozenset(parameters)
        self.where = {name: i for i, name in enumerate(self.names)}
        missing = [node.name for node in graph.variables if node.name not in self.where]
        if missing:
            raise MXNetValueError(f"CachedOp: the graph has variables that are not among the inputs: {missing}")
        self.programs, self.options = {}, options
        self.interpreted = needs_interpreter(graph, train=False)
        self.interpreted_on_gpus = needs_interpreter(graph, gpu=True, train=False)
        self.interpreted_in_training = needs_interpreter(graph)

    def __call__(self, *arrays):
        """Compute the outputs.

        Parameters
        ----------
        *arrays : NDArray
            One for each of `names`; or a single list of them.

        Returns
        -------
        NDArray or list of NDArray
        """
        cdef list given = list(arrays[0]) if len(arrays) == 1 and isinstance(arrays[0], (list, tuple)) else list(arrays)
        if len(given) != len(self.names):
            raise MXNetTypeError(f"CachedOp: {len(given)} arrays given; expected {len(self.names)}")
        cdef list outputs = self.run(given)
        return outputs[0] if len(outputs) == 1 else outputs

    cdef list run(self, list arrays):
        cdef State* flags = state()
        cdef NDArray array
        cdef Compiled c
        cdef Execution execution
        cdef Backward backward
        cdef int slot = 0, device_type = 1, device_id = 0
        cdef list outputs = []
        for item in arrays:
            if not isinstance(item, NDArray):
                raise MXNetTypeError(f"CachedOp: an input is {type(item).__name__}; expected an NDArray")
        if self.interpreted or (self.interpreted_in_training and flags.training) or (
                self.interpreted_on_gpus and arrays and (<NDArray>arrays[0]).chunk.device_type == GPU):
            return interpret(self.graph, dict(zip(self.names, arrays)))
        try:
            c = self.compiled(arrays, flags)
        except TooLong:
            self.interpreted = True
            return interpret(self.graph, dict(zip(self.names, arrays)))
        execution = Execution.__new__(Execution, c.plan, len(c.wanted) > 0)
        for at in c.positions:
            array = <NDArray>arrays[at]
            execution.put(slot, array)
            slot += 1
        if c.prepared is not None:
            self.prepared = True
            for array in c.prepared.get(arrays):
                execution.put(slot, array)
                slot += 1
        if arrays:
            array = <NDArray>arrays[0]
            device_type, device_id = array.chunk.device_type, array.chunk.device_id
        for _ in range(c.n_outputs):
            array = c.plan.new_array(slot, device_type, device_id)
            execution.put(slot, array)
            outputs.append(array)
            slot += 1
        if c.wanted and self.prepared:          # parameters are about to change: let go of what follows from them
            self.prepared = False
            for other in self.programs.values():
                (<Compiled>other).forget()
        execution.launch(0)
        if c.wanted:
            backward = Backward.__new__(Backward)
            backward.execution, backward.compiled, backward.owner, backward.arrays = execution, c, self, arrays
            attach_function(backward, [arrays[at] for at in c.wanted], outputs, True)
        return outputs

    cdef Compiled compiled(self, list arrays, State* flags):
        """The program for these arrays, made now if the signature is new."""
        cdef NDArray array
        cdef Py_ssize_t need = 1, at = 1, axis
        cdef Compiled c
        cdef bytes name
        for array in arrays:
            need += 1 + array.rank
        cdef int64_t* key = <int64_t*>malloc(need * sizeof(int64_t))
        if key == NULL:
            raise MemoryError
        try:
            key[0] = flags.training | precision_changes() << 32
            if arrays and (<NDArray>arrays[0]).chunk.device_type == GPU:
                key[0] |= ((<NDArray>arrays[0]).chunk.device_id + 1) << 1
            for array in arrays:
                if apart(array, <NDArray>arrays[0]):
                    raise MXNetValueError(f"inputs are on {arrays[0].context} and {array.context}; they must be on one "
                                          "device. Move one with as_in_context().")
                key[at] = array.code << 16 | array.rank << 1 | (flags.recording and array.node is not None)
                at += 1
                for axis in range(array.rank):
                    key[at] = array.dims[axis]
                    at += 1
            c = self.last
            if c is not None and PyBytes_GET_SIZE(c.key) == need * 8 \
                    and memcmp(PyBytes_AS_STRING(c.key), key, need * 8) == 0:
                return c
            name = PyBytes_FromStringAndSize(<char*>key, need * 8)
        finally:
            free(key)
        c = self.programs.get(name)
        if c is None:
            c = Compiled(self.compile(arrays, flags.training, flags.recording), self.where)
            c.key = name
            while len(self.programs) >= PLANS:
                del self.programs[next(iter(self.programs))]
            self.programs[name] = c
        self.last = c
        return c

    cdef object compile(self, list arrays, bint train, bint recording):
        cdef NDArray array
        types = {name: (array.shape, array.dtype_name) for name, array in zip(self.names, arrays)}
        grads = [(name, False) for name, array in zip(self.names, arrays) if recording and array.node is not None]
        ctx = arrays[0].context if arrays else None
        return compile_plan(self.graph, types, train=train, grads=grads, parameters=self.parameters, ctx=ctx,
                            **self.options)

    cdef list recorded_gradient(self, Compiled c, list arrays, list grads):
        cdef NDArray array
        types = {name: (array.shape, array.dtype_name) for name, array in zip(self.names, arrays)}
        wanted = [self.names[at] for at in c.wanted]
        heads, given = gradient_graph(self.graph, types, wanted, state().training)
        values = dict(zip(self.names, arrays))
        for i, entry in given.items():
            values[entry.node.name] = grads[i]
            if grads[i] is None:
                values[entry.node.name] = F._zeros(shape=entry.shape, dtype=entry.dtype, ctx=str(arrays[0].context))
        return interpret(Graph(heads), values)

    @property
    def plans(self):
        """The programs that were made, newest last."""
        return [c.program for c in self.programs.values()]
