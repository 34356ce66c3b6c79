"""Tests of random numbers."""
import numpy as np

from mxcy.base import MXNetValueError

__all__ = ["mean_check", "var_check", "chi_square_check", "gen_buckets_probs_with_ppf", "verify_generator"]


def _flat(samples):
    return np.asarray(samples.asnumpy() if hasattr(samples, "asnumpy") else samples).ravel()


def mean_check(generator, mu, sigma, nsamples=1000000):
    """Whether the mean of ``generator(nsamples)`` is within three deviations of ``mu``.

    Parameters
    ----------
    generator : callable
        Gives that many numbers of mean ``mu`` and standard deviation ``sigma``.
    mu, sigma : float
    nsamples : int

    Returns
    -------
    bool
    """
    return bool(abs(_flat(generator(nsamples)).mean() - mu) < 3 * sigma / np.sqrt(nsamples))


def var_check(generator, sigma, nsamples=1000000):
    """Whether the variance of ``generator(nsamples)``, normal numbers, is within three deviations of ``sigma**2``.

    Parameters
    ----------
    generator : callable
    sigma : float
    nsamples : int

    Returns
    -------
    bool
    """
    spread = 3 * np.sqrt(2 * sigma ** 4 / (nsamples - 1))
    return bool(abs(_flat(generator(nsamples)).var(ddof=1) - sigma ** 2) < spread)


def gen_buckets_probs_with_ppf(ppf, nbuckets):
    """Intervals of equal probability.

    Parameters
    ----------
    ppf : callable
        The inverse of the distribution function, such as ``scipy.stats.norm.ppf``.
    nbuckets : int

    Returns
    -------
    buckets : list of pair of float
    probs : list of float
    """
    bounds = [ppf(i / nbuckets) for i in range(nbuckets + 1)]
    return list(zip(bounds, bounds[1:])), [1 / nbuckets] * nbuckets


def chi_square_check(generator, buckets, probs, nsamples=1000000):
    """Chi-square test of numbers against the probabilities of intervals or of values.

    Parameters
    ----------
    generator : callable
        Gives ``nsamples`` numbers.
    buckets : list
        Pairs of bounds, the first inclusive; or values.
    probs : list of float
        Their probabilities; the sum is 1.
    nsamples : int

    Returns
    -------
    p : float
        Probability of a misfit at least as large, if the numbers are right.
    obs_freq, expected_freq : numpy.ndarray
        Numbers found and expected in each.
    """
    from scipy.stats import chisquare
    if len(buckets) != len(probs) or not buckets:
        raise MXNetValueError(f"chi_square_check: {len(buckets)} buckets for {len(probs)} probabilities")
    samples = _flat(generator(nsamples))
    if isinstance(buckets[0], (list, tuple)):
        found = np.array([np.count_nonzero((low <= samples) & (samples < high)) for low, high in buckets])
    else:
        found = np.array([np.count_nonzero(samples == value) for value in buckets])
    expected = np.asarray(probs) * samples.size
    # numbers outside all buckets are a misfit of their own
    outside = samples.size - found.sum()
    if outside:
        return 0., found, expected
    return float(chisquare(found, expected).pvalue), found, expected


def verify_generator(generator, buckets, probs, nsamples=1000000, nrepeat=5, success_rate=0.2, alpha=0.05):
    """Raise ``AssertionError`` unless `chi_square_check` is passed often enough.

    Parameters
    ----------
    generator : callable
    buckets, probs : list
    nsamples : int
    nrepeat : int
        How often to test.
    success_rate : float
        Share of the tests that must be passed.
    alpha : float
        A probability above this is a pass.

    Returns
    -------
    list of float
        The probabilities.
    """
    found = [chi_square_check(generator, buckets, probs, nsamples)[0] for _ in range(nrepeat)]
    if sum(p > alpha for p in found) < nrepeat * success_rate:
        raise AssertionError(f"the numbers do not have the distribution: probabilities {found} in {nrepeat} tests, of "
                             f"which {success_rate:.0%} should be above {alpha}")
    return found
