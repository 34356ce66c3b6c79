# cython: language_level=3, boundscheck=False, wraparound=False
"""What users call: operators as Python functions and methods, and ``F``, all of them by registered name."""
from cpython.dict cimport PyDict_Next
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM
from libc.math cimport signbit

from mxcy.imperative._bound cimport Bound
from mxcy.imperative._invoke cimport invoke, invoke_all, number
from mxcy.ndarray._ndarray cimport NDArray

import numpy

from mxcy.base import MXNetTypeError
from mxcy.ops.operator import lookup

cdef extern from "Python.h":
    object PyMethod_New(object function, object instance)

cdef enum:
    BOUNDS = 512                    # remembered per function


cdef class Function:
    """What users call: parses its arguments and invokes the operator."""
    cdef readonly object operator
    cdef str name
    cdef Bound plain                # without parameters given
    cdef dict bounds                # with them, by (name, value, name, value ...)
    cdef object names               # input names -> position
    cdef list params
    cdef int n_inputs
    cdef bint variadic, has_ctx, scalar

    def __init__(self, operator, str name):
        self.operator, self.name = operator, name
        self.bounds = {}
        self.variadic, self.scalar = operator.variadic, operator.scalar is not None
        self.names = {} if self.variadic else {n: i for i, n in enumerate(operator.inputs)}
        self.n_inputs = len(self.names)
        self.params = (["scalar"] if self.scalar else []) + list(operator.params)
        self.has_ctx = "ctx" in operator.params

    @property
    def __name__(self):
        return self.name

    @property
    def __qualname__(self):
        return self.name

    @property
    def __doc__(self):
        return self.operator.document()

    @property
    def __signature__(self):
        return self.operator.signature()

    def __repr__(self):
        return f"<operator {self.name}>"

    def __get__(self, instance, owner):
        return self if instance is None else PyMethod_New(self, instance)

    def __reduce__(self):
        return function, (self.operator.name, self.name)

    def __call__(self, *args, **kwargs):
        cdef tuple inputs
        cdef object out = None, key
        cdef double scalar = 0
        cdef Bound bound
        cdef Py_ssize_t n = PyTuple_GET_SIZE(args), i
        # The usual call has arrays first and then parameters by name, seen before: then nothing needs sorting out.
        if not self.scalar and (self.variadic or n <= self.n_inputs):
            for i in range(n):
                if not isinstance(<object>PyTuple_GET_ITEM(args, i), NDArray):
                    break
            else:
                if not kwargs and not self.variadic:
                    bound = self.plain
                else:
                    key = flat(kwargs)
                    if self.variadic:
                        key += ("num_args", n)
                    try:
                        bound = self.bounds.get(key)
                    except TypeError:           # a list among the parameters
                        bound = None
                if bound is not None and (self.variadic or n == bound.leading):
                    return invoke(bound, args, None, 0)
        elif self.scalar and n == 2 and self.n_inputs == 1 and not kwargs and isinstance(args[0], NDArray):
            bound = self.plain                  # an array and a number
            if bound is not None:
                return invoke(bound, (args[0],), None, number(self.name, args[1]))
        if stand_in is not None and (has_stand_in(args, kwargs) or self.n_inputs == 0 and not self.variadic):
            result = divert(self, args, kwargs)
            if result is not NotImplemented:
                return result
        inputs, params, out, slots = self.split(args, kwargs)
        if self.scalar:
            scalar = number(self.name, params.pop("scalar", self.operator.scalar))
        bound = self.bind(params)
        if slots is not None and PyTuple_GET_SIZE(inputs) < self.n_inputs:
            self.check_missing(bound, slots)
        return invoke(bound, inputs, out, scalar)

    cdef Bound bind(self, dict params):
        cdef Bound bound
        key = flat(params)
        try:
            bound = self.bounds.get(key)
        except TypeError:                       # a list, say
            params = {k: freeze(v) for k, v in params.items()}
            key = flat(params)
            try:
                bound = self.bounds.get(key)
            except TypeError:
                return Bound(self.operator, params)
        if bound is None:
            bound = Bound(self.operator, params)
            if not params:
                self.plain = bound
            if len(self.bounds) >= BOUNDS:
                self.bounds.clear()
            self.bounds[key] = bound
        return bound

    cdef tuple split(self, tuple args, dict kwargs):
        """(inputs, given parameters, out, a list with None for each absent input) of a call."""
        cdef dict params = {}
        cdef list inputs = [], slots
        cdef object out = None
        cdef Py_ssize_t i, at
        if self.variadic:
            if len(args) == 1 and isinstance(args[0], (list, tuple)):
                args = tuple(args[0])
            inputs = list(args)
            for key, value in kwargs.items():
                if key == "out":
                    out = value
                elif key == self.operator.inputs[0]:
                    inputs.extend(value if isinstance(value, (list, tuple)) else [value])
                elif key not in ("name", "attr", "num_args") or key in self.operator.params:
                    params[key] = value
            for value in inputs:
                if not isinstance(value, NDArray):
                    raise MXNetTypeError(f"{self.name}: an input is {type(value).__name__}; expected NDArray. "
                                         f"Parameters are passed by name.")
            if "num_args" in self.operator.params:
                params["num_args"] = len(inputs)
            return tuple(inputs), params, out, None
        slots = [None] * self.n_inputs
        for i, value in enumerate(args):
            if i < self.n_inputs:
                slots[i] = value
            elif i - self.n_inputs < len(self.params):
                if value is not None or self.takes_none(self.params[i - self.n_inputs]):
                    params[self.params[i - self.n_inputs]] = value
            else:
                raise MXNetTypeError(f"{self.name}: {len(args)} arguments given; at most "
                                     f"{self.n_inputs + len(self.params)} are possible")
        for key, value in kwargs.items():
            if key == "out":
                out = value
            elif key in self.names:
                at = self.names[key]
                if slots[at] is not None:
                    raise MXNetTypeError(f"{self.name}: input {key} is given twice")
                slots[at] = value
            elif key == "ctx" and self.has_ctx:
                params[key] = "" if value is None else str(value)
            elif key in ("name", "attr") and key not in self.operator.params:
                continue
            elif value is not None or self.takes_none(key):
                if key in params:
                    raise MXNetTypeError(f"{self.name}: parameter {key} is given twice")
                params[key] = value
        # A parameter in an absent input's place: nd.sum(x) has one input, LeakyReLU(x, act_type=...) may leave gamma out.
        for i, value in enumerate(slots):
            if value is None:
                continue
            if not isinstance(value, NDArray):
                if isinstance(value, numpy.ndarray):
                    raise MXNetTypeError(f"{self.name}: {self.operator.inputs[i]} is a NumPy array; expected an NDArray. "
                                         f"Convert it with nd.array().")
                raise MXNetTypeError(f"{self.name}: {self.operator.inputs[i]} is {type(value).__name__}; expected an NDArray")
            inputs.append(value)
        return tuple(inputs), params, out, slots

    def takes_none(self, key):
        param = self.operator.params.get(key)
        return param is None or param.optional

    cdef int check_missing(self, Bound bound, list slots) except -1:
        """Raise if an input that the parameters need is absent."""
        if bound.needed is None:
            if "inputs_given" in self.operator.rules:
                bound.needed = self.operator.input_names(bound.params)
            else:
                bound.needed = tuple([n for n in self.operator.inputs if n not in self.operator.optional_inputs])
        if None not in slots[:len(bound.needed)] and not any([x is not None for x in slots[len(bound.needed):]]):
            return 0                            # by position, those that are not there left out
        for name in bound.needed:
            if slots[self.names[name]] is None:
                raise MXNetTypeError(f"{self.name}: input {name} is missing; expected {', '.join(bound.needed)}")
        return 0


cdef object stand_in = None         # a class
cdef object divert = None           # a function


def divert_calls(kind, function):
    """Let ``function(self, args, kwargs)`` answer calls of operators that are given an instance of the class ``kind``.

    It is asked about operators without inputs too, and may return NotImplemented. This is how blocks that compute with
    ``mx.nd`` are turned into graphs: symbols stand in for arrays.
    """
    global stand_in, divert
    stand_in, divert = kind, function


cdef bint has_stand_in(tuple args, dict kwargs):
    for value in args:
        if stands_in(value):
            return True
    for value in kwargs.values():
        if stands_in(value):
            return True
    return False


cdef bint stands_in(value):
    """Whether a value is such an instance, or a list or tuple with one."""
    if isinstance(value, NDArray):              # mostly
        return False
    if isinstance(value, (list, tuple)):
        for item in value:
            if not isinstance(item, NDArray) and isinstance(item, stand_in):
                return True
        return False
    return isinstance(value, stand_in)


def function(operator_name, name):
    """The function of an operator under one of its names."""
    return Function(lookup(operator_name), name)


class Namespace:
    """Every operator as a function, by registered name: what gradient rules know as ``F``."""

    def __getattr__(self, name):
        found = self.__dict__[name] = Function(lookup(name), name)      # from now on an ordinary attribute
        return found


F = Namespace()


def apply(operator, dict params, tuple inputs, double scalar):
    """All outputs of an operator, also hidden ones, as a list: what runs a graph node by node."""
    cdef Function called = getattr(F, operator.name)
    return invoke_all(called.bind(params), inputs, scalar)


def bound(operator, dict params):
    """The Bound of an operator with these parameters, remembered."""
    cdef Function called = getattr(F, operator.name)
    return called.bind(params)


cdef tuple flat(dict params):
    """(name, value, name, value, ...), in which -0.0, which equals 0.0, is a text."""
    cdef Py_ssize_t at = 0, i = 0
    cdef PyObject* name
    cdef PyObject* value
    cdef tuple result = PyTuple_New(2 * len(params))
    while PyDict_Next(params, &at, &name, &value):
        for item in (<object>name, <object>value):
            if PyFloat_CheckExact(item) and PyFloat_AS_DOUBLE(item) == 0 and signbit(PyFloat_AS_DOUBLE(item)):
                item = "-0.0"
            Py_INCREF(item)
            PyTuple_SET_ITEM(result, i, item)
            i += 1
    return result


def freeze(value):
    return tuple(map(freeze, value)) if isinstance(value, (list, tuple)) else value
