"""Random numbers, samples and permutations. The same seed gives the same numbers, whatever the number of threads."""
import functools
import inspect

from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.ops import _random
from mxcy.ops.family import combined, same_shape
from mxcy.ops.operator import Operator
from mxcy.ops.param import Dtype, Param, Shape

FLOATS = ("float16", "bfloat16", "float32", "float64")

SHAPE = Param(Shape, None, doc="Shape of the result; ``(1,)``, if not given.")
EACH = Param(Shape, (), optional=True, doc="Shape of what is drawn from each distribution.")
CTX = Param(str, "", doc="Device of the result, as ``cpu(0)``; the current context, if empty.")
FLOAT = Param(Dtype, None, choices=FLOATS, doc="dtype of the result; float32, if not given.")


def distribution(name, what, inputs, sample_shape, ok, expected, aliases=(), **params):
    """The three operators of a distribution.

    ``_random_x`` draws an array of a given shape, ``_random_x_like`` one of another's shape, and ``_sample_x`` so many
    numbers from each of the distributions whose parameters are arrays. ``ok`` tells whether parameters are in range; if
    not, the error says what was ``expected``.
    """
    one = Operator(f"_random_{name}", "", f"Random numbers from {what}.", aliases=(f"random_{name}", *aliases),
                   random=True, **params, shape=SHAPE, ctx=CTX, dtype=FLOAT)
    one.infer_shape(lambda shape: shape or (1,))
    one.infer_type(lambda dtype: dtype or "float32")
    one.cpu = _random.drawn[name]
    one.check(in_range(one.name, ok, expected))

    like = Operator(f"_random_{name}_like", "data", f"Random numbers from {what}, of the shape and dtype of ``data``.",
                    random=True, **params)
    like.infer_shape(same_shape)
    like.cpu = _random.drawn[name]
    like.check(in_range(like.name, ok, expected))

    many = Operator(f"_sample_{name}", inputs, f"""Random numbers from {what}, whose parameters are arrays.

        The result has the shape of the parameters, followed by ``shape``.""", aliases=(f"sample_{name}",), random=True,
                    shape=EACH, dtype=FLOAT)
    many.infer_shape(sample_shape)
    many.infer_inputs(one_shape(many.inputs))
    many.infer_type(lambda dtype: dtype or "float32")
    many.cpu = _random.sampled[name]


def one_shape(names):
    """The rule `infer_inputs` of arrays that have one shape."""
    def rule(**shapes):
        return dict.fromkeys(names, combined(shapes.values()))
    rule.__signature__ = inspect.Signature([inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names])
    return rule


def in_range(name, ok, expected):
    """The rule that raises unless ``ok`` holds of the parameters it names."""
    @functools.wraps(ok)
    def check(**given):
        if not ok(**given):
            raise MXNetValueError(f"{name}: " + ", ".join(f"{key} is {value}" for key, value in given.items())
                                  + f"; expected {expected}")
    return check


def each(shape, **parameters):
    """The shape of samples from arrays of parameters, which must be alike."""
    (name, first), *rest = parameters.items()
    for other, its in rest:
        if its != first:
            raise MXNetValueError(f"{name} has shape {first} but {other} {its}; they must have one shape")
    return first + (shape or ())


distribution(
    "uniform", "the uniform distribution over [low, high)", "low high",
    lambda low, high, shape: each(shape, low=low, high=high),
    ok=lambda low, high: low <= high, expected="low <= high", aliases=("uniform",),
    low=Param(float, 0., doc="Lower bound."), high=Param(float, 1., doc="Upper bound."))
distribution(
    "normal", "the normal distribution", "mu sigma",
    lambda mu, sigma, shape: each(shape, mu=mu, sigma=sigma),
    ok=lambda scale: scale > 0, expected="scale > 0", aliases=("normal",),
    loc=Param(float, 0., doc="Mean."), scale=Param(float, 1., doc="Standard deviation."))
distribution(
    "exponential", "the exponential distribution", "lam",
    lambda lam, shape: each(shape, lam=lam),
    ok=lambda lam: lam > 0, expected="lam > 0",
    lam=Param(float, 1., doc="Rate: one over the mean."))
distribution(
    "gamma", "the gamma distribution", "alpha beta",
    lambda alpha, beta, shape: each(shape, alpha=alpha, beta=beta),
    ok=lambda alpha, beta: alpha > 0 and beta > 0, expected="both > 0",
    alpha=Param(float, 1., doc="Shape of the distribution."), beta=Param(float, 1., doc="Its scale."))
distribution(
    "poisson", "the Poisson distribution", "lam",
    lambda lam, shape: each(shape, lam=lam),
    ok=lambda lam: lam >= 0, expected="lam >= 0",
    lam=Param(float, 1., doc="Mean."))
distribution(
    "negative_binomial", "the negative binomial distribution", "k p",
    lambda k, p, shape: each(shape, k=k, p=p),
    ok=lambda k, p: k > 0 and 0 < p <= 1, expected="k > 0 and 0 < p <= 1",
    k=Param(int, 1, doc="Number of failures after which the experiment ends."),
    p=Param(float, 1., doc="Probability of a failure."))
distribution(
    "generalized_negative_binomial", "the negative binomial distribution, given by mean and dispersion", "mu alpha",
    lambda mu, alpha, shape: each(shape, mu=mu, alpha=alpha),
    ok=lambda mu, alpha: mu >= 0 and alpha >= 0, expected="both >= 0",
    mu=Param(float, 1., doc="Mean."), alpha=Param(float, 1., doc="Dispersion; 0 gives a Poisson distribution."))


randint = Operator(
    "_random_randint", "", "Random integers in [low, high).", aliases=("random_randint", "_npi_random_randint"),
    random=True, low=Param(int, doc="Lower bound, included."), high=Param(int, doc="Upper bound, not included."),
    shape=SHAPE, ctx=CTX,
    dtype=Param(Dtype, None, choices=("int32", "int64"), doc="dtype of the result; int32, if not given."))
randint.infer_shape(lambda shape: shape or (1,))
randint.infer_type(lambda dtype: dtype or "int32")
randint.cpu = _random.randint


@randint.check
def _(low, high, dtype):
    bits = 63 if dtype == "int64" else 31
    if not -2 ** bits <= low < high <= 2 ** bits:
        raise MXNetValueError(f"_random_randint: low is {low}, high is {high}; expected low < high, both within the "
                              f"range of {dtype or 'int32'}")


multinomial = Operator(
    "_sample_multinomial", "data", """Random categories, by probabilities along the last axis of ``data``.

    The result has the shape of ``data`` without that axis, followed by ``shape``. With ``get_prob`` the logarithms of
    the probabilities of what was drawn come as a second result, which has a gradient (that of REINFORCE).""",
    outputs="out log_prob", visible=2, aliases=("sample_multinomial",), random=True, shape=EACH,
    get_prob=Param(bool, False, doc="Whether to return log-probabilities too."),
    dtype=Param(Dtype, "int32", choices=("uint8", "int32", "int64", "float16", "float32", "float64"),
                doc="dtype of the categories."))
multinomial.outputs_given(lambda get_prob: (2, 2) if get_prob else (1, 1))
multinomial.cpu = _random.multinomial


@multinomial.infer_shape
def _(data, shape, get_prob):
    if not data or data[-1] == 0:
        raise MXNetValueError(f"_sample_multinomial: data has shape {data}; expected at least one probability in its "
                              f"last axis")
    return [data[:-1] + (shape or ()) or (1,)] * (1 + get_prob)


@multinomial.infer_type
def _(data, dtype, get_prob):
    if data not in FLOATS:
        raise MXNetTypeError(f"_sample_multinomial: data is {data}; expected a float dtype")
    return [dtype, data][:1 + get_prob]


@multinomial.gradient
def _(F, gs, data, out, shape, get_prob):
    if not get_prob or gs[1] is None:
        return None
    rows, count = data.shape[:-1], 1
    for n in shape or ():
        count *= n
    k = data.shape[-1]
    chosen = F.one_hot(F.reshape(out, shape=(-1, count)), depth=k, dtype=data.dtype)         # (rows, count, k)
    weighted = F.broadcast_mul(chosen, F.reshape(gs[1], shape=(-1, count, 1)))
    return F.reshape(F.sum(weighted, axis=1), shape=(*rows, k)) / data


shuffle = Operator("_shuffle", "data", "``data`` with its first axis in a random order.",
                   aliases=("shuffle", "_npi_shuffle"), random=True)
shuffle.infer_shape(same_shape)
shuffle.cpu = _random.shuffle


zipfian = Operator(
    "_sample_unique_zipfian", "", """Distinct integers below ``range_max`` for each row, small ones more likely: the
    probability of i falls as log((i + 2) / (i + 1)). The second result is the number of draws that each row took.""",
    outputs="out num_tries", random=True, range_max=Param(int, min=1, doc="What the integers are below."),
    shape=Param(Shape, None, doc="(rows, integers in each)."))
zipfian.infer_type(lambda: ["int64", "int64"])
zipfian.cpu = _random.unique_zipfian


@zipfian.infer_shape
def _(shape, range_max):
    if not shape or len(shape) != 2:
        raise MXNetValueError(f"_sample_unique_zipfian: shape is {shape}; expected (rows, integers in each)")
    if shape[1] > range_max:
        raise MXNetValueError(f"_sample_unique_zipfian: shape is {shape}, but there are only {range_max} distinct "
                              f"integers below range_max")
    return [shape, shape[:1]]
