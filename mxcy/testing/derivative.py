"""Derivatives against finite differences along one random direction."""
import numpy as np

__all__ = ["check_vjp"]


def check_vjp(f, vjp, inputs, rng, eps=1e-6, rtol=1e-5, atol=1e-7):
    """Check that ``<vjp(g), v> = <g, df[v]>`` along random ``g`` and ``v``.

    Three evaluations, whatever the size of the inputs.

    Parameters
    ----------
    f : callable
        ``f(*inputs)`` returns an array, or a tuple of arrays.
    vjp : callable
        ``vjp(*gs)``, of one array shaped as each output of ``f``, returns one gradient per input; None stands for
        zero.
    inputs : sequence of numpy.ndarray
        Where to differentiate; float64, away from kinks.
    rng : numpy.random.Generator
        Draws the directions.
    eps : float
        Step of the central difference.
    rtol, atol : float
        Tolerance, in units of the largest term that enters the comparison.

    Raises
    ------
    AssertionError
        If the two sides differ, or a gradient has another shape than its input.
    """
    def outputs(inputs):
        result = f(*inputs)
        return [np.asarray(y, np.float64) for y in (result if isinstance(result, (tuple, list)) else [result])]

    directions = [rng.normal(size=x.shape) for x in inputs]
    ahead = outputs([x + eps * v for x, v in zip(inputs, directions)])
    behind = outputs([x - eps * v for x, v in zip(inputs, directions)])
    gs = [rng.normal(size=y.shape) for y in ahead]
    numeric = [float((g * (a - b)).sum()) / (2 * eps) for g, a, b in zip(gs, ahead, behind)]
    analytic = []
    for i, (gradient, x, v) in enumerate(zip(vjp(*gs), inputs, directions, strict=True)):
        if gradient is not None:
            gradient = np.asarray(gradient)
            assert gradient.shape == x.shape, f"gradient {i} has shape {gradient.shape}, its input {x.shape}"
            analytic.append(float((gradient * v).sum()))
    scale = max([1., *map(abs, numeric), *map(abs, analytic)])
    np.testing.assert_allclose(sum(analytic), sum(numeric), rtol=rtol, atol=max(atol, rtol * scale),
                               err_msg="gradient against finite differences")
