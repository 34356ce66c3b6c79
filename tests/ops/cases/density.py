"""Probability densities, against SciPy's."""
import numpy as np
from scipy import stats

from tests.ops.case import Case, const, positive, uniform

COUNTS = const([[0, 1, 5, 2], [3, 2, 7, 0], [4, 4, 1, 9]])


def density(law, discrete=False):
    """The oracle of a distribution: ``law(*parameters)`` is SciPy's."""
    def oracle(x, *parameters, is_log=False):
        of = law(*(p.reshape(p.shape + (1,) * (x.ndim - p.ndim)) for p in parameters))
        name = ("log" if is_log else "") + ("pmf" if discrete else "pdf")
        return getattr(of, name)(x)
    return oracle


def dirichlet(x, alpha, is_log=False):
    out = np.array([[stats.dirichlet(a).logpdf(s / s.sum()) for s in block] for block, a in zip(x, alpha)])
    return out if is_log else np.exp(out)


SIMPLEX = np.array([[[.2, .3, .5], [.1, .1, .8]], [[.6, .2, .2], [.25, .25, .5]]])

CASES = [
    *[Case(f"_random_pdf_{name}", [sample, *parameters], dict(is_log=is_log), oracle, grad=True if name != "uniform" else (1, 2))
      for is_log in (False, True)
      for name, sample, parameters, oracle in [
          ("uniform", uniform(1, 2, 3, 4), [uniform(0, 1, 3), uniform(2, 3, 3)], density(lambda a, b: stats.uniform(a, b - a))),
          ("normal", uniform(-1, 1, 3, 4), [uniform(-1, 1, 3), positive(3)], density(stats.norm)),
          ("gamma", positive(3, 4), [positive(3), positive(3)], density(lambda a, b: stats.gamma(a, scale=1 / b))),
          ("exponential", positive(3, 4, 2), [positive(3)], density(lambda lam: stats.expon(scale=1 / lam))),
      ]],
    *[Case(f"_random_pdf_{name}", [COUNTS, *parameters], dict(is_log=is_log), density(law, True),
           grad=tuple(range(1, 1 + len(parameters))))
      for is_log in (False, True)
      for name, parameters, law in [
          ("poisson", [positive(3)], stats.poisson),
          ("negative_binomial", [positive(3), uniform(.3, .8, 3)], stats.nbinom),
          ("generalized_negative_binomial", [positive(3), positive(3)], lambda mu, a: stats.nbinom(1 / a, 1 / (1 + mu * a))),
      ]],
    *[Case("_random_pdf_dirichlet", [const(SIMPLEX), positive(2, 3)], dict(is_log=is_log), dirichlet, slack=4.)
      for is_log in (False, True)],
]
