"""Optimizer updates: each writes a new weight, usually over the old one (``out=weight``), and changes its states."""
from mxcy.base import MXNetValueError
from mxcy.ops import _update as kernel
from mxcy.ops.operator import Operator
from mxcy.ops.param import Floats, Param

# -- parameters --------------------------------------------------------------------------------------------------------

LR = dict(lr=Param(float, doc="Learning rate."))
RATES = dict(lrs=Param(Floats, doc="Learning rates, one for each weight."),
             wds=Param(Floats, doc="Weight decays, one for each weight."))
WD = dict(wd=Param(float, 0.0, doc="Weight decay: how much of the weight is added to the gradient."))
MOMENTUM = dict(momentum=Param(float, 0.0, doc="Share of the last step that is repeated."))
LAZY = dict(lazy_update=Param(bool, True, doc="Has no influence: it is about row-sparse gradients."))
CLIP = dict(clip_gradient=Param(float, -1.0, doc="Largest magnitude of an item of the scaled gradient; negative: any."))
SCALE = dict(rescale_grad=Param(float, 1.0, doc="Factor of the gradient, before all else."), **CLIP)
COUNT = dict(num_weights=Param(int, 1, min=1, doc="Number of weights."))


def averaging(beta1=0.9, beta2=0.999, epsilon=1e-8):
    return dict(beta1=Param(float, beta1, doc="Share of the old average of the gradient."),
                beta2=Param(float, beta2, doc="Share of the old average of its square."),
                epsilon=Param(float, epsilon, doc="Added to the root of that average."))


# -- rules that all share ----------------------------------------------------------------------------------------------


def declare(name, states, doc, rule, *, mixed=False, tail="", extra=None, aliases=(), **params):
    """An update of one weight. ``states`` are the names of its states, ``tail`` names what stands behind the group."""
    states = states.split()
    inputs = ["weight", "grad", *states, *["weight32"] * mixed]
    operator = Operator(name, " ".join([*inputs, *tail.split()]), doc, mutates=inputs[2:], aliases=aliases, **params)

    @operator.infer_shape
    def same_shapes(weight):
        return dict(dict.fromkeys(inputs[1:], weight), out=weight)

    if mixed or tail:
        operator.infer_type(lambda weight: weight)
    operator.cpu = kernel.kernel(name, rule, len(states), mixed, extra=extra,
                                 tail=kernel.RESCALE if tail else kernel.NOTHING)
    return operator


def declare_many(name, each, doc, rule, states, *, mixed=False, preloaded=False, rescaled=False, extra=None, **params):
    """The update of several weights; ``each`` names what the group of a weight holds."""
    size = 2 + states + mixed
    behind = 2 if preloaded else int(rescaled)
    names = f"``{each}``" + (", and behind all the learning rates and the weight decays as two arrays" if preloaded else
                             ", and behind all the factor of the gradients, as an array" if rescaled else "")
    operator = Operator(name, "*data", f"{doc}\n\nThe arrays are, for each weight, {names}.", outputs="outputs", **params)

    @operator.outputs_given
    def one_for_each(num_weights):
        return num_weights, num_weights

    @operator.changes_given
    def states_change(num_weights):
        return [i * size + k for i in range(num_weights) for k in range(2, size)]

    @operator.infer_shape
    def group_shapes(data, num_weights):
        if len(data) != num_weights * size + behind:
            raise MXNetValueError(f"{name}: {len(data)} arrays were given; num_weights={num_weights} needs "
                                  f"{num_weights * size + behind}: for each weight {names}")
        for i in range(0, num_weights * size, size):
            if any(shape != data[i] for shape in data[i + 1:i + size]):
                raise MXNetValueError(f"{name}: the arrays of weight {i // size} have shapes {data[i:i + size]}; they must be "
                                      f"equal")
        for rates in data[num_weights * size:] if preloaded else ():
            if rates != (num_weights,):
                raise MXNetValueError(f"{name}: the rates have shape {rates}; expected ({num_weights},)")
        return data[:num_weights * size:size]

    @operator.infer_type
    def weight_types(data, num_weights):
        return data[:num_weights * size:size]

    if "lrs" in params:
        operator.check(lambda lrs, wds, num_weights: check_rates(name, num_weights, lrs=lrs, wds=wds))
    tail = kernel.RATES if preloaded else kernel.RESCALE if rescaled else kernel.NOTHING
    operator.cpu = kernel.kernel(name, rule, states, mixed, tail=tail, extra=extra)
    return operator


def check_rates(name, num_weights, **rates):
    for key, values in rates.items():
        if len(values) not in (1, num_weights):
            raise MXNetValueError(f"{name}: {key} has {len(values)} numbers; num_weights={num_weights} needs as many, or one")


# -- stochastic gradient descent ---------------------------------------------------------------------------------------

SGD = """Gradient descent: ``weight - lr * (clip(rescale_grad * grad) + wd * weight)``."""
SGD_MOM = """Gradient descent with momentum.

::

    mom = momentum * mom - lr * (clip(rescale_grad * grad) + wd * weight)
    weight = weight + mom
"""
NAG = """Gradient descent with Nesterov's momentum.

::

    step = lr * (clip(rescale_grad * grad) + wd * weight)
    mom = momentum * mom - step
    weight = weight + momentum * mom - step
"""
MIXED = " The weight is kept in ``weight32`` as float32 too."

declare("sgd_update", "", SGD, kernel.SGD, **LR, **WD, **SCALE, **LAZY)
declare("mp_sgd_update", "", SGD + MIXED, kernel.SGD, mixed=True, **LR, **WD, **SCALE, **LAZY)
declare("sgd_mom_update", "mom", SGD_MOM, kernel.SGD_MOM, **LR, **MOMENTUM, **WD, **SCALE, **LAZY)
declare("mp_sgd_mom_update", "mom", SGD_MOM + MIXED, kernel.SGD_MOM, mixed=True, **LR, **MOMENTUM, **WD, **SCALE, **LAZY)
declare("nag_mom_update", "mom", NAG, kernel.NAG, **LR, **MOMENTUM, **WD, **SCALE)
declare("mp_nag_mom_update", "mom", NAG + MIXED, kernel.NAG, mixed=True, **LR, **MOMENTUM, **WD, **SCALE)

for prefix, rates, preloaded in (("", RATES, False), ("preloaded_", {}, True)):
    declare_many(f"{prefix}multi_sgd_update", "weight, grad", "`sgd_update` of several weights.", kernel.SGD, 0,
                 preloaded=preloaded, **rates, **SCALE, **COUNT)
    declare_many(f"{prefix}multi_sgd_mom_update", "weight, grad, mom", "`sgd_mom_update` of several weights.",
                 kernel.SGD_MOM, 1, preloaded=preloaded, **rates, **MOMENTUM, **SCALE, **COUNT)
    declare_many(f"{prefix}multi_mp_sgd_update", "weight, grad, weight32", "`mp_sgd_update` of several weights.",
                 kernel.SGD, 0, mixed=True, preloaded=preloaded, **rates, **SCALE, **COUNT)
    declare_many(f"{prefix}multi_mp_sgd_mom_update", "weight, grad, mom, weight32",
                 "`mp_sgd_mom_update` of several weights.", kernel.SGD_MOM, 1, mixed=True, preloaded=preloaded,
                 **rates, **MOMENTUM, **SCALE, **COUNT)

# -- signs of gradients ------------------------------------------------------------------------------------------------

declare("signsgd_update", "", "A step of size ``lr`` against the sign of the gradient; ``wd`` shrinks the weight.",
        kernel.SIGN, **LR, **WD, **SCALE)
declare("signum_update", "mom", "A step of size ``lr`` along the sign of the momentum.", kernel.SIGNUM,
        extra=lambda p: (p["wd_lh"],), **LR, **MOMENTUM, **WD, **SCALE,
        wd_lh=Param(float, 0.0, doc="How much of the weight is taken off, apart from the momentum."))

# -- averages of squared gradients -------------------------------------------------------------------------------------

ADAM = """Adam: a step along the average gradient over the root of the average of its square.

::

    grad = clip(rescale_grad * grad) + wd * weight
    mean = beta1 * mean + (1 - beta1) * grad
    var = beta2 * var + (1 - beta2) * grad**2
    weight = weight - lr * mean / (sqrt(var) + epsilon)

The correction of the averages for their start at 0 is the caller's, through ``lr``.
"""
ADAMW = """Adam with weight decay apart from the gradient.

::

    mean = beta1 * mean + (1 - beta1) * grad
    var = beta2 * var + (1 - beta2) * grad**2
    weight = weight - eta * (lr * mean / (sqrt(var) + epsilon) + wd * weight)

where the gradient was multiplied by ``rescale_grad`` and clipped. Nothing happens if ``rescale_grad``, an array of one
item, is 0 or not finite: that is how a loss that overflowed is skipped.
"""


def eta(params):
    return (params["eta"],)


def first_eta(params):
    """The kernel takes one schedule multiplier; several are folded into the rates by `multi_eta`."""
    return (params["etas"][0],)


ETA = dict(eta=Param(float, doc="Multiplier of the whole step."))

declare("adam_update", "mean var", ADAM, kernel.ADAM, **LR, **averaging(), **WD, **SCALE, **LAZY)
declare("_adamw_update", "mean var", ADAMW, kernel.ADAMW, tail="rescale_grad", extra=eta,
        **LR, **averaging(), **WD, **ETA, **CLIP)
declare("_mp_adamw_update", "mean var", ADAMW, kernel.ADAMW, mixed=True, tail="rescale_grad", extra=eta,
        **LR, **averaging(), **WD, **ETA, **CLIP)
for mixed in (False, True):
    declare_many(f"_multi_{'mp_' * mixed}adam_update", "weight, grad, mean, var" + ", weight32" * mixed,
                 "`adam_update` of several weights.", kernel.ADAM, 2, mixed=mixed, **RATES, **averaging(), **SCALE, **COUNT)

WEIGHT_CLIP = dict(clip_weights=Param(float, -1.0, doc="Largest magnitude of an item of the weight; negative: any."))

declare("rmsprop_update", "n",
        """RMSProp: a step along the gradient over the root of the average of its square, ``n``.""",
        kernel.RMSPROP, extra=lambda p: (p["clip_weights"],), **LR,
        gamma1=Param(float, 0.95, doc="Share of the old average."),
        epsilon=Param(float, 1e-8, doc="Added to the average."), **WD, **SCALE, **WEIGHT_CLIP)
declare("rmspropalex_update", "n g delta",
        """RMSProp in Graves's form, with momentum, and with the variance of the gradient in place of its square.""",
        kernel.RMSPROP_CENTRED, extra=lambda p: (p["clip_weights"],), **LR,
        gamma1=Param(float, 0.95, doc="Share of the old averages."),
        gamma2=Param(float, 0.9, doc="Share of the last step that is repeated."),
        epsilon=Param(float, 1e-8, doc="Added to the variance."), **WD, **SCALE, **WEIGHT_CLIP)
declare("ftrl_update", "z n", "Follow the regularized leader: sparse weights through ``lamda1``.", kernel.FTRL,
        extra=lambda p: (p["lamda1"], p["beta"]), **LR,
        lamda1=Param(float, 0.01, doc="L1 penalty."),
        beta=Param(float, 1.0, doc="Smooths the learning rate of each item."), **WD, **SCALE)
declare("ftml_update", "d v z", "Follow the moving leader.", kernel.FTML, extra=kernel.unbias, **LR,
        **averaging(beta1=0.6), t=Param(int, min=1, doc="Number of this update, from 1."), **WD,
        rescale_grad=Param(float, 1.0, doc="Factor of the gradient, before all else."),
        clip_grad=Param(float, -1.0, doc="Largest magnitude of an item of the gradient; negative: any."))
