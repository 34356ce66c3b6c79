"""Chains and small trees of elementwise operators as one operator; what they compute on the way stays in the cache."""
import json
from functools import lru_cache, reduce
from typing import NamedTuple

from mxcy.base import MXNetError, MXNetTypeError, MXNetValueError
from mxcy.ops import _fused
from mxcy.ops.family import broadcast_shape
from mxcy.ops.operator import Operator, lookup
from mxcy.ops.param import Param

__all__ = ["MAX_INPUTS", "MAX_OUTPUTS", "MAX_STEPS", "Program", "Step", "parse", "slots"]

MAX_INPUTS, MAX_OUTPUTS, MAX_STEPS = 24, 8, 64


class Step(NamedTuple):
    """An operator of a program. Values are numbered: first the inputs of the program, then what each step makes."""
    op: Operator
    operands: tuple
    scalar: float
    params: dict


class Program(NamedTuple):
    """Elementwise operators on values of one shape and dtype; some of the values are the outputs."""
    inputs: int
    steps: tuple
    outputs: tuple

    @property
    def text(self):
        """The program as the parameter of the operator."""
        def given(step):
            return {**step.params, **({} if step.op.scalar is None else {"scalar": step.scalar})}
        steps = [[step.op.name, step.operands, given(step)] for step in self.steps]
        return json.dumps({"inputs": self.inputs, "steps": steps, "outputs": self.outputs})


@lru_cache(maxsize=1024)
def parse(text):
    """The Program that a text spells; anything else is refused."""
    try:
        given = json.loads(text)
        inputs, rows, outputs = given["inputs"], given["steps"], given["outputs"]
        steps = tuple(make_step(name, operands, params) for name, operands, params in rows)
        program = Program(inputs, steps, tuple(outputs))
        check(program)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, MXNetError):
            raise
        raise MXNetValueError(f"_fused_pointwise: program is {text[:200]!r}; expected JSON such as "
                              '{"inputs": 2, "steps": [["elemwise_add", [0, 1], {}]], "outputs": [2]}') from None
    return program


def make_step(name, operands, params):
    op = lookup(name)
    scalar = float(params.pop("scalar", op.scalar)) if op.scalar is not None else 0.
    return Step(op, tuple(operands), scalar, op.parse(params))


def check(program):
    """Raise unless steps use values that exist by then and outputs are values of steps."""
    if not 0 < program.inputs <= MAX_INPUTS or not 0 < len(program.steps) <= MAX_STEPS \
            or not 0 < len(program.outputs) <= MAX_OUTPUTS:
        raise MXNetValueError(f"_fused_pointwise: {program.inputs} inputs, {len(program.steps)} steps and "
                              f"{len(program.outputs)} outputs; at least 1 of each, and at most {MAX_INPUTS}, "
                              f"{MAX_STEPS} and {MAX_OUTPUTS} are possible")
    for number, (op, operands, _, params) in enumerate(program.steps, program.inputs):
        wanted = len(op.input_names(params, len(operands)))
        if not op.kernel(params).tiles:
            raise MXNetTypeError(f"_fused_pointwise: {op.name} is not elementwise")
        if len(operands) != wanted or not all(value in range(number) for value in operands):
            raise MXNetValueError(f"_fused_pointwise: value {number} is {op.name} of values {operands}; expected "
                                  f"{wanted} values below {number}")
    made = range(program.inputs, program.inputs + len(program.steps))
    if len(set(program.outputs)) != len(program.outputs) or not all(value in made for value in program.outputs):
        raise MXNetValueError(f"_fused_pointwise: outputs are values {program.outputs}; expected different ones from "
                              f"{made[0]} to {made[-1]}")


def slots(program):
    """Where each value is kept: (a list of slot numbers by value, number of slots).

    Inputs and outputs have slots of their own, in this order; other values take turns in as few registers as
    possible: a step may write over an operand that is not used again.
    """
    last = {}
    for number, step in enumerate(program.steps, program.inputs):
        for value in step.operands:
            last[value] = number
    place = {value: program.inputs + i for i, value in enumerate(program.outputs)}
    place.update((value, value) for value in range(program.inputs))
    count, free = program.inputs + len(program.outputs), []
    fixed = set(place)
    for number, step in enumerate(program.steps, program.inputs):
        free.extend({place[value] for value in step.operands if last[value] == number and value not in fixed})
        if number not in place:
            if not free:
                free.append(count)
                count += 1
            place[number] = free.pop()
            if number not in last:
                free.append(place[number])
    return [place[value] for value in range(program.inputs + len(program.steps))], count


def pack(program):
    """The C struct of a program, from its text."""
    program = parse(program)
    return _fused.pack(program, *slots(program))


fused_pointwise = Operator(
    "_fused_pointwise", "*data", """
    Several elementwise operators in one pass, as plans put them together.

    ``program`` is JSON: the number of inputs, a list of steps (operator, operands, parameters) and a list of the values
    that are outputs. Values are numbered: the inputs, then the results of the steps. Inputs broadcast to the shape of
    the outputs.
    """,
    program=Param(str, doc="What to compute."))
fused_pointwise.outputs_given(lambda program: (len(parse(program).outputs),) * 2)
fused_pointwise.check(lambda program: parse(program))
fused_pointwise.cpu = _fused.kernel(lambda params: pack(params["program"]))


@fused_pointwise.infer_shape
def _(data, program):
    program = parse(program)
    if len(data) != program.inputs:
        raise MXNetTypeError(f"_fused_pointwise: {len(data)} inputs given; the program has {program.inputs}")
    return [reduce(broadcast_shape, data)] * len(program.outputs)


@fused_pointwise.infer_type
def _(data, program):
    if any(dtype != data[0] for dtype in data):
        raise MXNetTypeError(f"_fused_pointwise: inputs are {', '.join(data)}; they must have one dtype")
    return [data[0]] * len(parse(program).outputs)


@fused_pointwise.gradient
def _(F):
    raise MXNetError("_fused_pointwise has no gradient: operators are put together after differentiation. "
                     "Differentiate the graph that the plan was made of.")
