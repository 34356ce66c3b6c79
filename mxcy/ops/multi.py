"""Operators on many arrays at once, for trainers."""
from mxcy.base import MXNetValueError
from mxcy.ops import _multi as kernel
from mxcy.ops.operator import ZERO, Operator
from mxcy.ops.param import Param

NUM_ARRAYS = dict(num_arrays=Param(int, None, min=1, doc="Number of arrays; counted if not given."))
INIT = dict(init_output=Param(bool, True, doc="Start anew; else the result also depends on what ``out`` held before."))

sum_sq = Operator("multi_sum_sq", "*data", "The sum of the squares of each array, as one float32 array.", **NUM_ARRAYS)
sum_sq.infer_shape(lambda data: (len(data),))
sum_sq.infer_type(lambda data: "float32")
sum_sq.cpu = kernel.sum_sq

all_finite = Operator("all_finite", "data", "1 if no item is infinite or NaN, else 0.", **INIT)
multi_all_finite = Operator("multi_all_finite", "*data",
                            "1 if no item of any of the arrays is infinite or NaN, else 0.",
                            num_arrays=Param(int, 1, min=1, doc="Number of arrays; counted if not given."), **INIT)
for operator in (all_finite, multi_all_finite):
    operator.infer_shape(lambda: (1,))
    operator.infer_type(lambda: "float32")
    operator.gradient(ZERO)
    operator.cpu = kernel.all_finite

reset = Operator("reset_arrays", "*data", "Fill arrays with zeros.", outputs="", **NUM_ARRAYS)
reset.infer_shape(lambda: [])
reset.infer_type(lambda: [])
reset.changes_given(lambda num_inputs: range(num_inputs))
reset.cpu = kernel.reset

lars = Operator(
    "multi_lars", "lrs weights_sum_sq grads_sum_sq wds",
    """The learning rates of LARS: each is multiplied by the ratio of the length of the weight to that of the step.

    ``lr * eta * w / (g + wd * w + eps)``, where w and g are the lengths of the weight and of the rescaled gradient;
    ``lr`` where one of them is 0.
    """,
    eta=Param(float, doc="How much of the ratio counts."),
    eps=Param(float, doc="Added to the length of the step."),
    rescale_grad=Param(float, 1.0, doc="Factor of the gradients."))


@lars.infer_shape
def lars_shape(lrs):
    if len(lrs) != 1:
        raise MXNetValueError(f"multi_lars: lrs has shape {lrs}; expected one axis, with a rate for each weight")
    return dict(weights_sum_sq=lrs, grads_sum_sq=lrs, wds=lrs, out=lrs)


lars.cpu = kernel.lars
