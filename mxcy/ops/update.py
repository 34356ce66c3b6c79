"""Optimizer updates: each writes a new weight, usually over the old one (``out=weight``), and changes its states."""
from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.ops import _update as kernel
from mxcy.ops.operator import Operator
from mxcy.ops.param import Floats, Param

# -- parameters --------------------------------------------------------------------------------------------------------

LR = dict(lr=Param(float, doc="Learning rate."))
RATES = dict(lrs=Param(Floats, doc="Learning rates, one for each weight, or one for all."),
             wds=Param(Floats, doc="Weight decays, one for each weight, or one for all."))
WD = dict(wd=Param(float, 0.0, doc="Weight decay: how much of the weight is added to the gradient."))
MOMENTUM = dict(momentum=Param(float, 0.0, doc="Share of the last step that is repeated."))
LAZY = dict(lazy_update=Param(bool, True, doc="Has no influence: it is about row-sparse gradients."))
CLIP = dict(clip_gradient=Param(float, -1.0, doc="Largest magnitude of an item of the scaled gradient; negative: any."))
SCALE = dict(rescale_grad=Param(float, 1.0, doc="Factor of the gradient, before all else."), **CLIP)
COUNT = dict(num_weights=Param(int, 1, min=1, max=65535, doc="Number of weights."))


def averaging(beta1=0.9, beta2=0.999, epsilon=1e-8):
    return dict(beta1=Param(float, beta1, doc="Share of the old average of the gradient."),
                beta2=Param(float, beta2, doc="Share of the old average of its square."),
                epsilon=Param(float, epsilon, doc="Added to the root of that average."))


# -- rules that all share ----------------------------------------------------------------------------------------------


def declare(name, states, doc, rule, *, mixed=False, steps=False, tail="", extra=None, **params):
    """An update of one weight.

    ``states`` are the names of its states, ``tail`` names what stands behind the group. With ``steps`` the result is a
    step, of the dtype of the states, and not the weight.
    """
    states = states.split()
    inputs = ["weight", "grad", *states, *["weight32"] * mixed]
    operator = Operator(name, " ".join([*inputs, *tail.split()]), doc,
                        mutates=inputs[2:len(states) + 2] if steps else inputs[2:], **params)

    @operator.infer_shape
    def same_shapes(weight):
        return dict(dict.fromkeys(inputs[1:], weight), out=weight, **dict.fromkeys(tail.split(), (1,)))

    @operator.infer_type
    def types_of_a_group(weight):
        wide = "float32" if mixed else weight
        return dict(dict.fromkeys(inputs[2:], wide), grad=weight, out=wide if steps else weight)

    operator.cpu = kernel.kernel(name, rule, len(states), mixed, steps=steps, extra=extra,
                                 tail="rescale" if tail else None)
    return operator


def declare_many(name, each, doc, rule, states, *, mixed=False, preloaded=False, rescaled=False, scalar=None,
                 extra=None,
                 **params):
    """The update of several weights; ``each`` names what the group of a weight holds."""
    size = 2 + states + mixed
    behind = 2 if preloaded else int(rescaled)
    names = f"``{each}``" + (", and behind all the learning rates and the weight decays as two arrays" if preloaded else
                             ", and behind all the factor of the gradients, as an array" if rescaled else "")
    operator = Operator(name, "*data", f"{doc}\n\nThe arrays are, for each weight, {names}.", outputs="outputs",
                        scalar=scalar, **params)

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
            if data[i:i + size].count(data[i]) != size:
                raise MXNetValueError(f"{name}: the arrays of weight {i // size} have shapes {data[i:i + size]}; they "
                                      f"must be equal")
        for rates in data[num_weights * size:] if preloaded else ():
            if rates != (num_weights,):
                raise MXNetValueError(f"{name}: the rates have shape {rates}; expected ({num_weights},)")
        return data[:num_weights * size:size]

    @operator.infer_type
    def weight_types(data, num_weights):
        for i in range(0, num_weights * size, size):
            group, wide = data[i:i + size], "float32" if mixed else data[i]
            if group[1] != group[0] or any(dtype != wide for dtype in group[2:]):
                raise MXNetTypeError(f"{name}: the arrays of weight {i // size} are {', '.join(group)}; all but the "
                                     f"gradient must be {wide}, and the gradient of the weight's dtype")
        for dtype in data[num_weights * size:] if preloaded else ():
            if dtype != "float32":
                raise MXNetTypeError(f"{name}: the rates are {dtype}; expected float32")
        return data[:num_weights * size:size]

    if "lrs" in params:
        if "etas" in params:
            operator.check(lambda lrs, wds, etas, num_weights:
                           check_rates(name, num_weights, lrs=lrs, wds=wds, etas=etas))
        else:
            operator.check(lambda lrs, wds, num_weights: check_rates(name, num_weights, lrs=lrs, wds=wds))
    tail = "rates" if preloaded else "rescale" if rescaled else None
    operator.cpu = kernel.kernel(name, rule, states, mixed, tail=tail, scaled=scalar is not None, extra=extra)
    return operator


def check_rates(name, num_weights, **rates):
    for key, values in rates.items():
        if len(values) not in (1, num_weights):
            raise MXNetValueError(f"{name}: {key} has {len(values)} numbers; num_weights={num_weights} needs as many, "
                                  "or one")


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

declare("sgd_update", "", SGD, "sgd", **LR, **WD, **SCALE, **LAZY)
declare("mp_sgd_update", "", SGD + MIXED, "sgd", mixed=True, **LR, **WD, **SCALE, **LAZY)
declare("sgd_mom_update", "mom", SGD_MOM, "sgd_mom", **LR, **MOMENTUM, **WD, **SCALE, **LAZY)
declare("mp_sgd_mom_update", "mom", SGD_MOM + MIXED, "sgd_mom", mixed=True, **LR, **MOMENTUM, **WD, **SCALE, **LAZY)
declare("nag_mom_update", "mom", NAG, "nag", **LR, **MOMENTUM, **WD, **SCALE)
declare("mp_nag_mom_update", "mom", NAG + MIXED, "nag", mixed=True, **LR, **MOMENTUM, **WD, **SCALE)

for prefix, rates, preloaded in (("", RATES, False), ("preloaded_", {}, True)):
    declare_many(f"{prefix}multi_sgd_update", "weight, grad", "`sgd_update` of several weights.", "sgd", 0,
                 preloaded=preloaded, **rates, **SCALE, **COUNT)
    declare_many(f"{prefix}multi_sgd_mom_update", "weight, grad, mom", "`sgd_mom_update` of several weights.",
                 "sgd_mom", 1, preloaded=preloaded, **rates, **MOMENTUM, **SCALE, **COUNT)
    declare_many(f"{prefix}multi_mp_sgd_update", "weight, grad, weight32", "`mp_sgd_update` of several weights.",
                 "sgd", 0, mixed=True, preloaded=preloaded, **rates, **SCALE, **COUNT)
    declare_many(f"{prefix}multi_mp_sgd_mom_update", "weight, grad, mom, weight32",
                 "`mp_sgd_mom_update` of several weights.", "sgd_mom", 1, mixed=True, preloaded=preloaded,
                 **rates, **MOMENTUM, **SCALE, **COUNT)

# -- signs of gradients ------------------------------------------------------------------------------------------------

declare("signsgd_update", "", "A step of size ``lr`` against the sign of the gradient; ``wd`` shrinks the weight.",
        "sign", **LR, **WD, **SCALE)
declare("signum_update", "mom", "A step of size ``lr`` along the sign of the momentum.", "signum",
        extra=kernel.numbers("wd_lh"), **LR, **MOMENTUM, **WD, **SCALE,
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


ETA = dict(eta=Param(float, doc="Multiplier of the whole step."))
ETAS = dict(etas=Param(Floats, doc="Multipliers of the whole step, one for each weight, or one for all."))

declare("adam_update", "mean var", ADAM, "adam", **LR, **averaging(), **WD, **SCALE, **LAZY)
declare("_adamw_update", "mean var", ADAMW, "adamw", tail="rescale_grad", extra=kernel.numbers("eta"),
        **LR, **averaging(), **WD, **ETA, **CLIP)
declare("_mp_adamw_update", "mean var", ADAMW, "adamw", mixed=True, tail="rescale_grad", extra=kernel.numbers("eta"),
        **LR, **averaging(), **WD, **ETA, **CLIP)
for mixed in (False, True):
    declare_many(f"_multi_{'mp_' * mixed}adamw_update", "weight, grad, mean, var" + ", weight32" * mixed,
                 "`_adamw_update` of several weights.", "adamw", 2, mixed=mixed, rescaled=True,
                 extra=lambda p: (1.0,), lrs=RATES["lrs"], **averaging(), wds=RATES["wds"], **ETAS, **CLIP, **COUNT)
    declare_many(f"_multi_{'mp_' * mixed}adam_update", "weight, grad, mean, var" + ", weight32" * mixed,
                 "`adam_update` of several weights. ``scalar`` multiplies every learning rate: the correction of the "
                 "averages, which is another at each step.",
                 "adam", 2, mixed=mixed, scalar=1., **RATES, **averaging(), **SCALE, **COUNT)

WEIGHT_CLIP = dict(clip_weights=Param(float, -1.0, doc="Largest magnitude of an item of the weight; negative: any."))

declare("rmsprop_update", "n",
        """RMSProp: a step along the gradient over the root of the average of its square, ``n``.""",
        "rmsprop", extra=kernel.numbers("clip_weights"), **LR,
        gamma1=Param(float, 0.95, doc="Share of the old average."),
        epsilon=Param(float, 1e-8, doc="Added to the average."), **WD, **SCALE, **WEIGHT_CLIP)
declare("rmspropalex_update", "n g delta",
        """RMSProp in Graves's form, with momentum, and with the variance of the gradient in place of its square.""",
        "rmsprop_centred", extra=kernel.numbers("clip_weights"), **LR,
        gamma1=Param(float, 0.95, doc="Share of the old averages."),
        gamma2=Param(float, 0.9, doc="Share of the last step that is repeated."),
        epsilon=Param(float, 1e-8, doc="Added to the variance."), **WD, **SCALE, **WEIGHT_CLIP)
declare("ftrl_update", "z n", "Follow the regularized leader: sparse weights through ``lamda1``.", "ftrl",
        extra=kernel.numbers("lamda1", "beta"), **LR,
        lamda1=Param(float, 0.01, doc="L1 penalty."),
        beta=Param(float, 1.0, doc="Smooths the learning rate of each item."), **WD, **SCALE)
declare("ftml_update", "d v z", "Follow the moving leader.", "ftml", extra=kernel.unbias, **LR,
        **averaging(beta1=0.6), t=Param(int, min=1, doc="Number of this update, from 1."), **WD,
        rescale_grad=Param(float, 1.0, doc="Factor of the gradient, before all else."),
        clip_grad=Param(float, -1.0, doc="Largest magnitude of an item of the gradient; negative: any."))

# -- layer-wise rates --------------------------------------------------------------------------------------------------

LAMB = """The first half of LAMB: the step of Adam with weight decay. Its length, against that of the weight, scales the
rate in `lamb_update_phase2`.

::

    mean = beta1 * mean + (1 - beta1) * grad
    var = beta2 * var + (1 - beta2) * grad**2
    out = mean / (1 - beta1**t) / (sqrt(var / (1 - beta2**t)) + epsilon) + wd * weight

where the gradient was multiplied by ``rescale_grad`` and clipped.
"""
for mixed in (False, True):
    step = declare(f"{'mp_' * mixed}lamb_update_phase1", "mean var", LAMB, "lamb", mixed=mixed, steps=True,
                   extra=kernel.unbias, **averaging(epsilon=1e-6),
                   t=Param(int, min=1, doc="Number of this update, from 1."),
                   bias_correction=Param(bool, True, doc="Correct the averages for their start at 0."),
                   wd=Param(float, doc="Weight decay."), **SCALE)
    scaled = Operator(
        f"{'mp_' * mixed}lamb_update_phase2", "weight g r1 r2" + " weight32" * mixed,
        "The second half of LAMB: ``weight - lr * (r1 / r2) * g``; the ratio counts as 1 if a length is 0."
        + " The weight is kept in ``weight32`` as float32 too." * mixed,
        mutates=("weight32",) * mixed, lr=Param(float, doc="Learning rate."),
        lower_bound=Param(float, -1.0, doc="Least length of the weight that counts; negative: none."),
        upper_bound=Param(float, -1.0, doc="Largest length of the weight that counts; negative: none."))

    @scaled.infer_shape
    def lamb_shapes(weight):
        return dict(weight32=weight, g=weight, r1=(1,), r2=(1,), out=weight)

    scaled.infer_type((lambda weight: dict(g="float32", weight32="float32", out=weight)) if mixed else
                      (lambda weight: dict(g=weight, out=weight)))
    scaled.cpu = kernel.scaled_step
