# cython: language_level=3
"""The backward pass over the tape.

Reverse-mode differentiation: nodes are visited when all their consumers have delivered, so that every gradient rule runs
once. Iterative, as graphs may be deep.
"""
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t

from mxcy.imperative._arithmetic cimport arithmetic
from mxcy.imperative._bound cimport Signature
from mxcy.imperative._execute cimport assign
from mxcy.imperative._record cimport (WANT_F, WANT_G, WANT_GS, WANT_INPUT, WANT_INPUTS, WANT_NEEDS, WANT_OUTPUT, WANT_TRAIN,
                                      WANT_VALUE, Node, Origin, Rule, Variable, detached)
from mxcy.imperative._state cimport State, state
from mxcy.ndarray._ndarray cimport ADD, NDArray, dims_tuple

from mxcy.base import MXNetError, MXNetValueError
from mxcy.dtype import NAMES
from mxcy.imperative._function import F

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject* o)

cdef int64_t visits = 0


def mark_variable(NDArray array not None, grad, str req):
    """Make an array a leaf that wants a gradient; cuts it from what computed it. ``grad`` None: stop wanting one."""
    if req not in ("write", "add", "null"):
        raise MXNetValueError(f"grad_req is {req!r}; expected 'write', 'add' or 'null'")
    array.node, array.node_index = None if grad is None or req == "null" else Variable(grad, req), 0


def gradient_of(NDArray array not None):
    """The array that receives the gradient, or None."""
    return (<Variable>array.node).grad if isinstance(array.node, Variable) else None


def is_fresh(NDArray array not None):
    """Whether backward has written the array's gradient since `set_fresh` said no."""
    return isinstance(array.node, Variable) and (<Variable>array.node).fresh


def set_fresh(NDArray array not None, bint fresh):
    """Note whether the array's gradient is new."""
    if isinstance(array.node, Variable):
        (<Variable>array.node).fresh = fresh


def detach(NDArray array not None):
    """An array over the same memory that autograd does not know."""
    return detached(array)


def attach_function(function, inputs, outputs, bint direct=False):
    """Record a custom function: ``function(gradients of outputs) -> gradients of inputs``.

    A ``direct`` one is also given a list with, for each input, the array that its gradient may be written to, or None.
    """
    cdef Node node = Node.__new__(Node)
    cdef NDArray array
    node.function, node.count, node.direct = function, len(outputs), direct
    node.parents = tuple([(<NDArray>array).node for array in inputs])
    node.indices = tuple([(<NDArray>array).node_index for array in inputs])
    for i, array in enumerate(outputs):
        array.node, array.node_index = node, i


def is_recorded(NDArray array not None):
    """Whether autograd knows where the array comes from."""
    return array.node is not None


cdef tuple apply_rule(Node node, list grads, bint create_graph):
    """Gradients of the inputs of a recorded call, from those of its outputs: a tuple of arrays and Nones."""
    cdef Rule rule = node.rule
    cdef list args = []
    cdef int kind
    if rule.function is None:
        raise MXNetError(f"{node.bound.operator.name} is not differentiable; use detach() or autograd.pause() around it")
    for kind, what in rule.wants:
        if kind == WANT_F:
            args.append(F)
        elif kind == WANT_G:
            args.append(grads[0] if grads[0] is not None else zero_gradient(node, 0))
        elif kind == WANT_INPUT:
            args.append(saved_input(node, what, create_graph))
        elif kind == WANT_OUTPUT:
            args.append(saved_output(node, what, create_graph))
        elif kind == WANT_VALUE:
            args.append(what)
        elif kind == WANT_GS:
            args.append(tuple(grads))
        elif kind == WANT_INPUTS:
            args.append([saved_input(node, i, create_graph) for i in range(len(node.parents))])
        elif kind == WANT_NEEDS:
            args.append(tuple([parent is not None for parent in node.parents]))
        elif kind == WANT_TRAIN:
            args.append(node.train)
        else:
            args.append(node.scalar)
    result = rule.function(*args, **rule.constants) if rule.constants else rule.function(*args)
    if result is None:
        return (None,) * len(node.parents)
    if isinstance(result, NDArray):
        result = (result,)
    if len(result) < len(node.parents):
        return tuple(result) + (None,) * (len(node.parents) - len(result))
    return tuple(result)


cdef NDArray saved_input(Node node, int i, bint create_graph):
    cdef NDArray array = node.inputs[i]
    if create_graph and array.node is not node.parents[i]:
        array = detached(array)
        array.node, array.node_index = node.parents[i], node.indices[i]
    return array


cdef NDArray saved_output(Node node, int i, bint create_graph):
    cdef NDArray array = node.outputs[i]
    if create_graph and i < node.count:
        array = detached(array)
        array.node, array.node_index = node, i
    return array


cdef object zero_gradient(Node node, int i):
    """Zeros in the shape of an output that received no gradient."""
    cdef Signature s = node.signature
    return F._zeros(shape=dims_tuple(s.ranks[i], s.dims[i]), dtype=NAMES[s.codes[i]])


cdef object add(object sum_, object term):
    return term if sum_ is None else arithmetic(ADD, sum_, term, None)


cdef int write(Variable leaf, object holder) except -1:
    """Put a finished gradient, the only item of the list ``holder``, where the variable wants it."""
    cdef NDArray grad = leaf.grad, new
    item = holder.pop()
    leaf.fresh = True
    if item is None:
        if leaf.req == "write":
            F._zeros(shape=grad.shape, dtype=grad.dtype_name, out=grad)
        return 0
    if item is grad:                            # written there already
        return 0
    new = item
    item = None
    if new.code != grad.code:
        new = F.Cast(new, dtype=grad.dtype_name)
    if leaf.req == "add":
        arithmetic(ADD, grad, new, grad)
    elif Py_REFCNT(<PyObject*>new) == 1 and not new.shared and not grad.shared \
            and new.nelem == grad.nelem and new.chunk.device_id == grad.chunk.device_id:
        # Nobody else sees either buffer: hand the new one over instead of copying it.
        new.chunk, grad.chunk = grad.chunk, new.chunk
        new.data, grad.data = grad.data, new.data
    else:
        assign(grad, new)
    return 0


def backward(list heads, list head_grads, bint retain_graph, bint train_mode, bint create_graph=False, list variables=None):
    """Gradients of ``heads`` with respect to every variable they depend on.

    Without ``variables`` the gradients go where the variables want them; with, they are returned, in order.
    """
    global visits
    cdef Origin origin, parent
    cdef Node node
    cdef NDArray array
    cdef list order = [], ready = [], leaves = [], results = None
    cdef Py_ssize_t i, index
    cdef int64_t visit
    cdef dict wanted = None
    cdef State* flags = state()
    cdef bint recording = flags.recording, training = flags.training, exact = flags.exact
    visits += 1
    visit = visits
    for array in heads:
        if array.node is None:
            raise MXNetError("a head of backward is not part of a recorded computation: compute it inside autograd.record() "
                             "from arrays with attach_grad()")
        see(array.node, visit, order)
    i = 0
    while i < len(order):                       # every origin, and how many consumers each has
        origin = order[i]
        i += 1
        if isinstance(origin, Node):
            node = <Node>origin
            if node.released:
                raise MXNetError("this graph was differentiated already and freed; pass retain_graph=True to the first "
                                 "backward to run it again")
            for parent in node.parents:
                if parent is not None:
                    see(parent, visit, order)
                    parent.pending += 1
    if variables is not None:
        wanted, results = {}, [None] * len(variables)
        for i, array in enumerate(variables):
            if array.node is None or (<Origin>array.node).visit != visit:
                raise MXNetError(f"variable {i} of grad does not take part in the computation of the heads; call "
                                 f"attach_grad() on it before recording")
            wanted.setdefault(array.node, []).append((i, array.node_index))
    flags.recording, flags.training, flags.exact = create_graph, train_mode, True     # rules get the dtypes they gave
    try:
        for array, given in zip(heads, head_grads):
            if given is None:
                given = F.ones_like(array)
            elif not isinstance(given, NDArray) or given.shape != array.shape:
                raise MXNetValueError(f"a head gradient has shape {getattr(given, 'shape', given)}; its head has {array.shape}")
            origin = <Origin>array.node
            origin.grads[array.node_index] = add(origin.grads[array.node_index], given)
        for origin in order:
            if origin.pending == 0:
                ready.append(origin)
        while ready:
            origin = ready.pop()
            if wanted is not None and origin in wanted:
                for i, index in wanted[origin]:
                    results[i] = origin.grads[index]
            if isinstance(origin, Variable):
                leaves.append(origin)
                continue
            node = <Node>origin
            propagate(node, create_graph, variables is None, ready)
            if not (retain_graph or create_graph):
                node.released = True
                node.parents = node.inputs = node.outputs = None
                node.function = None
        if variables is None:
            flags.recording = False
            for origin in leaves:
                write(<Variable>origin, origin.grads)
    finally:
        flags.recording, flags.training, flags.exact = recording, training, exact
        for origin in order:
            origin.grads = None
    if variables is None:
        return None
    for i, array in enumerate(variables):
        if results[i] is None:
            results[i] = F.zeros_like(array)
    return results


cdef int see(Origin origin, int64_t visit, list order) except -1:
    """Note an origin on its first visit in this pass."""
    if origin.visit != visit:
        if origin.grads is not None:
            raise MXNetError("another thread is differentiating this computation")
        origin.visit, origin.pending = visit, 0
        origin.grads = [None] * ((<Node>origin).count if isinstance(origin, Node) else 1)
        order.append(origin)
    return 0


cdef object target(Origin parent):
    """The gradient array of a variable that only waits for one more gradient, which may then be written there; or None."""
    cdef Variable leaf
    if not isinstance(parent, Variable):
        return None
    leaf = <Variable>parent
    return leaf.grad if leaf.req == "write" and leaf.pending == 1 and leaf.grads[0] is None else None


cdef int propagate(Node node, bint create_graph, bint to_variables, list ready) except -1:
    """Run a node's rule and hand the results to its parents."""
    cdef Py_ssize_t i, n = len(node.parents)
    cdef Origin parent
    cdef list grads = node.grads
    cdef tuple delivered = None
    cdef int index
    for item in grads:
        if item is not None:
            if node.direct:
                delivered = node.function(grads, [target(parent) if to_variables and not create_graph else None
                                                  for parent in node.parents])
            elif node.bound is None:
                delivered = node.function(grads)
            else:
                delivered = apply_rule(node, grads, create_graph)
            break
    item = None
    node.grads = [None] * node.count            # they are used up
    grads = None
    for i in range(n):
        parent = <Origin>node.parents[i]
        if parent is None:
            continue
        if delivered is not None and delivered[i] is not None:
            index = node.indices[i]
            parent.grads[index] = add(parent.grads[index], delivered[i])
        parent.pending -= 1
        if parent.pending == 0:
            ready.append(parent)
    return 0
