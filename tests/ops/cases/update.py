"""Cases of mxcy/ops/update.py: the new weights. Changes of states are held against MXNet's by the conformance data."""
import numpy as np

from tests.ops.case import Case, const, integers, normal, positive

def f32(x):
    """x as the operators keep it; the parameters given below are numbers that float32 holds exactly."""
    return float(np.float32(x))


BETA1, BETA2, BETA1_FTML = f32(.9), f32(.999), f32(.6)
GAMMA1, GAMMA2, LAMDA1, EPSILON, EPSILON_LAMB = f32(.95), f32(.9), f32(.01), f32(1e-8), f32(1e-6)
SHAPE = (3, 700)                   # more than a tile of the kernel, and not a multiple of one


def limit(x, bound=-1.0):
    return np.clip(x, -bound, bound) if bound >= 0 else x


def sgd(w, g, *_, lr, wd=0, rescale_grad=1, clip_gradient=-1):
    return w - lr * (limit(rescale_grad * g, clip_gradient) + wd * w)


def sgd_mom(w, g, mom, *_, lr, momentum=0, wd=0, rescale_grad=1, clip_gradient=-1):
    return w + momentum * mom - lr * (limit(rescale_grad * g, clip_gradient) + wd * w)


def nag(w, g, mom, *_, lr, momentum=0, wd=0, rescale_grad=1, clip_gradient=-1):
    step = lr * (limit(rescale_grad * g, clip_gradient) + wd * w)
    return w + momentum * (momentum * mom - step) - step


def adam(w, g, mean, var, *_, lr, beta1=BETA1, beta2=BETA2, epsilon=EPSILON, wd=0, rescale_grad=1, clip_gradient=-1):
    g = limit(rescale_grad * g + wd * w, clip_gradient)
    return w - lr * (beta1 * mean + (1 - beta1) * g) / (np.sqrt(beta2 * var + (1 - beta2) * g * g) + epsilon)


def adamw(w, g, mean, var, *rest, lr, eta, beta1=BETA1, beta2=BETA2, epsilon=EPSILON, wd=0, clip_gradient=-1):
    if rest[-1][0] == 0:
        return w
    g = limit(rest[-1] * g, clip_gradient)
    step = (beta1 * mean + (1 - beta1) * g) / (np.sqrt(beta2 * var + (1 - beta2) * g * g) + epsilon)
    return w - eta * (lr * step + wd * w)


def lamb_step(w, g, mean, var, *_, t, wd, beta1=BETA1, beta2=BETA2, epsilon=EPSILON_LAMB, bias_correction=True,
              rescale_grad=1):
    g = rescale_grad * g
    mean, var = beta1 * mean + (1 - beta1) * g, beta2 * var + (1 - beta2) * g * g
    if bias_correction:
        mean, var = mean / (1 - beta1**t), var / (1 - beta2**t)
    return mean / (np.sqrt(var) + epsilon) + wd * w


def lamb_scaled(w, g, r1, r2, *_, lr, lower_bound=-1, upper_bound=-1):
    r1 = max(r1, lower_bound) if lower_bound >= 0 else r1
    return w - lr * (r1 / r2 if r1 and r2 else 1) * g


def rmsprop(w, g, n, lr, gamma1=GAMMA1, epsilon=EPSILON, wd=0, clip_weights=-1):
    g = g + wd * w
    return limit(w - lr * g / np.sqrt((1 - gamma1) * g * g + gamma1 * n + epsilon), clip_weights)


def rmsprop_centred(w, g, n, mean, delta, lr, gamma1=GAMMA1, gamma2=GAMMA2, epsilon=EPSILON):
    n, mean = (1 - gamma1) * g * g + gamma1 * n, (1 - gamma1) * g + gamma1 * mean
    return w + gamma2 * delta - lr * g / np.sqrt(n - mean * mean + epsilon)


def ftrl(w, g, z, n, lr, lamda1=LAMDA1, beta=1, wd=0):
    z, n = z + g - (np.sqrt(n + g * g) - np.sqrt(n)) * w / lr, n + g * g
    return (np.sign(z) * lamda1 - z) / ((beta + np.sqrt(n)) / lr + wd) * (np.abs(z) > lamda1)


def ftml(w, g, d, v, z, lr, t, beta1=BETA1_FTML, beta2=BETA2, epsilon=EPSILON, wd=0):
    g = g + wd * w
    v = beta2 * v + (1 - beta2) * g * g
    new = (1 - beta1**t) / lr * (np.sqrt(v / (1 - beta2**t)) + epsilon)
    return -(beta1 * z + (1 - beta1) * g - (new - beta1 * d) * w) / new


def signum(w, g, mom, lr, momentum=0, wd=0, wd_lh=0):
    return (1 - lr * wd_lh) * w + lr * np.sign(momentum * mom - (1 - momentum) * (wd * w + g))


def many(update, size, tail=0):
    """The oracle of several weights from that of one; rates come as parameters or as two arrays behind the groups."""
    def oracle(*arrays, num_weights, lrs=None, wds=None, etas=None, scalar=1, **params):
        if tail == 2:
            lrs, wds = arrays[-2:]
        factor = arrays[-1:] if tail == 1 else ()
        lrs, wds = (x * num_weights if len(x) == 1 else x for x in (lrs, wds))
        own = [dict(params, lr=lrs[i] * scalar, wd=wds[i],
                    **({"eta": etas[i]} if etas else {})) for i in range(num_weights)]
        return tuple(update(*arrays[i * size:i * size + size], *factor, **own[i]) for i in range(num_weights))
    return oracle


def single(operator, states, params, oracle, **options):
    """One weight; weight and gradient are normal, states positive."""
    return Case(operator, [normal(*SHAPE), normal(*SHAPE), *[positive(*SHAPE)] * states], params, oracle, grad=False,
                **options)


def mixed(operator, states, params, oracle, *tail):
    """16-bit weight and gradient, float32 states and copy."""
    short = [integers(-8, 8, *SHAPE, dtype="float16"), integers(-8, 8, *SHAPE, dtype="float16")]
    wide = [integers(1, 8, *SHAPE, dtype="float32")] * states

    def from_copy(w, g, *rest, **params):
        return oracle(rest[states], g, *rest[:states], *rest[states + 1:], **params)
    return Case(operator, [*short, *wide, integers(-8, 8, *SHAPE, dtype="float32"), *tail], params, from_copy,
                grad=False, dtypes=("float16",))


def multi(operator, states, params, oracle, tail=()):
    shapes = (SHAPE, (5,), (0, 2))
    arrays = [make(*s) for s in shapes for make in (normal, normal, *[positive] * states)]
    return Case(operator, [*arrays, *tail], dict(params, num_weights=3), many(oracle, 2 + states, len(tail)),
                grad=False, dtypes=("float32", "float64", "float16"))


def multi_mixed(operator, states, params, oracle, tail=()):
    arrays = []
    for shape in (SHAPE, (5,)):
        arrays += [integers(-8, 8, *shape, dtype="float16")] * 2
        arrays += [integers(1, 8, *shape, dtype="float32")] * (states + 1)

    def from_copy(w, g, *rest, **params):
        return oracle(rest[states], g, *rest[:states], *rest[states + 1:], **params)
    return Case(operator, [*arrays, *tail], dict(params, num_weights=2), many(from_copy, 3 + states, len(tail)),
                grad=False, dtypes=("float16",))


FACTOR = const([0.5], "float32")
COMMON = dict(wd=.125, rescale_grad=.5, clip_gradient=.375)
RATES = [const([.125, .25, .375], "float32"), const([0, .125, .25], "float32")]
RATES2 = [const([.125, .25], "float32"), const([0, .125], "float32")]
LISTS = dict(lrs=(.125, .25, .375), wds=(0., .125, .25))
LISTS2 = dict(lrs=(.125, .25), wds=(0., .125))

CASES = [
    single("sgd_update", 0, dict(lr=.125, **COMMON), sgd),
    single("sgd_update", 0, dict(lr=.125), sgd),
    mixed("mp_sgd_update", 0, dict(lr=.125, **COMMON), sgd),
    single("sgd_mom_update", 1, dict(lr=.125, momentum=.875, **COMMON), sgd_mom),
    mixed("mp_sgd_mom_update", 1, dict(lr=.125, momentum=.875, **COMMON), sgd_mom),
    single("nag_mom_update", 1, dict(lr=.125, momentum=.875, **COMMON), nag),
    mixed("mp_nag_mom_update", 1, dict(lr=.125, momentum=.875, **COMMON), nag),
    multi("multi_sgd_update", 0, dict(LISTS, rescale_grad=.5), sgd),
    multi("multi_sgd_mom_update", 1, dict(LISTS, momentum=.875), sgd_mom),
    multi_mixed("multi_mp_sgd_update", 0, LISTS2, sgd),
    multi_mixed("multi_mp_sgd_mom_update", 1, dict(LISTS2, momentum=.875), sgd_mom),
    multi("preloaded_multi_sgd_update", 0, {}, sgd, RATES),
    multi("preloaded_multi_sgd_mom_update", 1, dict(momentum=.875), sgd_mom, RATES),
    multi_mixed("preloaded_multi_mp_sgd_update", 0, {}, sgd, RATES2),
    multi_mixed("preloaded_multi_mp_sgd_mom_update", 1, dict(momentum=.875), sgd_mom, RATES2),
    single("signsgd_update", 0, dict(lr=.125, wd=.125), lambda w, g, lr, wd: (1 - lr * wd) * w - lr * np.sign(g)),
    single("signum_update", 1, dict(lr=.125, momentum=.875, wd=.125, wd_lh=.25), signum, dtypes=("float32", "float64")),
    single("adam_update", 2, dict(lr=.125, **COMMON), adam),
    multi("_multi_adam_update", 2, dict(scalar=.5, lrs=(.125,), wds=(.0625,), rescale_grad=.5), adam),
    multi_mixed("_multi_mp_adam_update", 2, dict(LISTS2, scalar=2.), adam),
    Case("_adamw_update", [normal(*SHAPE), normal(*SHAPE), positive(*SHAPE), positive(*SHAPE), FACTOR],
         dict(lr=.125, eta=.5, wd=.125), adamw, grad=False, dtypes=("float32",)),
    Case("_adamw_update", [normal(3), normal(3), positive(3), positive(3), const([0.], "float32")],
         dict(lr=.125, eta=.5), adamw, grad=False, dtypes=("float32",), id="skipped"),
    mixed("_mp_adamw_update", 2, dict(lr=.125, eta=.5, wd=.125), adamw, FACTOR),
    multi("_multi_adamw_update", 2, dict(LISTS, etas=(1., .5, .25)), adamw, [FACTOR]),
    multi_mixed("_multi_mp_adamw_update", 2, dict(LISTS2, etas=(1., .5)), adamw, [FACTOR]),
    single("rmsprop_update", 1, dict(lr=.125, wd=.125, clip_weights=1.5), rmsprop),
    Case("rmspropalex_update", [normal(*SHAPE), normal(*SHAPE), const(np.full(SHAPE, 5.)), positive(*SHAPE),
                                normal(*SHAPE)],
         dict(lr=.125), rmsprop_centred, grad=False),
    single("ftrl_update", 2, dict(lr=.125, wd=.125, lamda1=1.), ftrl, dtypes=("float32", "float64")),
    single("ftml_update", 3, dict(lr=.125, t=2, wd=.125), ftml, dtypes=("float32", "float64")),
    single("lamb_update_phase1", 2, dict(t=3, wd=.125, rescale_grad=.5), lamb_step),
    single("lamb_update_phase1", 2, dict(t=3, wd=.125, bias_correction=False), lamb_step),
    mixed("mp_lamb_update_phase1", 2, dict(t=3, wd=.125), lamb_step),
    Case("lamb_update_phase2", [normal(*SHAPE), normal(*SHAPE), const([2.]), const([4.])],
         dict(lr=.125, lower_bound=3.), lamb_scaled, grad=False),
    Case("mp_lamb_update_phase2",
         [integers(-8, 8, *SHAPE, dtype="float16"), integers(-8, 8, *SHAPE, dtype="float32"), const([0.], "float32"),
          const([4.], "float32"), integers(-8, 8, *SHAPE, dtype="float32")],
         dict(lr=.125), lambda w, g, r1, r2, copy, lr: lamb_scaled(copy, g, r1, r2, lr=lr), grad=False,
         dtypes=("float16",)),
]
