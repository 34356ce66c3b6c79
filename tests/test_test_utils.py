import os

import numpy as np
import pytest

import mxcy as mx
from mxcy import nd
from mxcy import test_utils as utils


def test_comparison():
    utils.assert_almost_equal(nd.ones((3,)), np.ones(3) + 1e-5)
    assert utils.almost_equal(np.float32(1), 1.00001) and not utils.almost_equal([1.], [2.])
    assert utils.almost_equal([np.nan], [np.nan], equal_nan=True) and not utils.almost_equal([np.nan], [np.nan])
    assert not utils.almost_equal(np.ones((2, 2)), np.ones(2), use_broadcast=False)
    assert utils.same(nd.ones((2,)), [1, 1])
    with pytest.raises(AssertionError, match=r"2 of 4 values.*\n.*at \(1, 1\): x=1, y=3"):
        utils.assert_almost_equal(np.ones((2, 2)), np.array([[1, 1], [2, 3.]]), names=("x", "y"))
    with pytest.raises(AssertionError):
        utils.assert_allclose([1.], [1.001])


def test_tolerance_is_that_of_the_narrower_dtype():
    assert utils.get_tols(nd.ones((1,)), nd.ones((1,), dtype="float16"), None, None) == (1e-2, 1e-1)
    assert utils.get_tols(np.ones(1), 1, None, .5) == (1e-5, .5)
    assert utils.get_rtol(dtype="float32") == 1e-4 and utils.get_atol(3) == 3


def test_a_share_of_errors():
    a, b = np.ones(100), np.r_[np.ones(99), 2]
    utils.assert_almost_equal_with_err(a, b, etol=.02)
    with pytest.raises(AssertionError):
        utils.assert_almost_equal_with_err(a, b, etol=.001)
    utils.assert_almost_equal_ignore_nan([1., np.nan], [1., 5.])
    utils.compare_ndarray_tuple((nd.ones((1,)), (None,)), (nd.ones((1,)), (None,)))


def test_random_shapes_and_arrays():
    assert all(1 <= size <= 3 for size in utils.rand_shape_nd(50, 3))
    assert len(utils.rand_shape_2d()) == 2 and len(utils.rand_shape_3d()) == 3
    assert utils.rand_ndarray((2, 3)).shape == (2, 3) and utils.rand_ndarray((2,), dtype="float64").dtype == np.float64
    assert utils.random_arrays((2,)).dtype == np.float32 and [a.shape
                                                              for a in utils.random_arrays((2,), ())] == [(2,), ()]
    assert utils.np_reduce(np.ones((2, 3, 4)), (1, -1), True, np.sum).shape == (2, 1, 1)
    assert utils.collapse_sum_like(np.ones((2, 3, 4)), (1, 4)).tolist() == [[6] * 4]
    x = nd.ones((2,))
    assert utils.same_array(x, x.reshape((2, 1)).reshape((2,))) and not utils.same_array(x, nd.ones((2,)))


def test_gradients_by_differences():
    utils.check_numeric_gradient(lambda x, y: nd.broadcast_mul(nd.sin(x), y),
                                 [np.random.randn(2, 3), np.random.randn(2, 1)],
                                 dtype=np.float64)
    with pytest.raises(AssertionError, match="gradient of argument 0"):
        utils.check_numeric_gradient(lambda x: nd.BlockGrad(x) * x, [np.ones(3)], dtype=np.float64)


def test_environment():
    with utils.environment({"MXCY_A": "1", "HOME": None}):
        assert os.environ["MXCY_A"] == "1" and "HOME" not in os.environ
    assert "MXCY_A" not in os.environ and "HOME" in os.environ
    with utils.EnvManager("MXCY_A", "2"):
        assert os.environ["MXCY_A"] == "2"


def test_retry_and_exceptions():
    tries = []

    @utils.retry(3)
    def sometimes():
        tries.append(1)
        assert len(tries) == 3

    sometimes()
    assert len(tries) == 3
    utils.assert_exception(lambda: nd.ones((2,)) + nd.ones((3,)), mx.MXNetError)
    with pytest.raises(AssertionError, match="did not raise"):
        utils.assert_exception(lambda: 1, ValueError)


def test_default_context():
    before = utils.default_context()
    utils.set_default_context(mx.cpu(3))
    assert utils.default_context() == mx.cpu(3)
    utils.set_default_context(before)
    assert utils.default_dtype() is np.float32 and len(utils.list_gpus()) == mx.num_gpus()


def test_dummy_iter():
    dummy = utils.DummyIter(mx.io.NDArrayIter(np.arange(4), None, 2))
    assert [next(dummy).data[0].asnumpy()[0] for _ in range(5)] == [0] * 5


def test_statistics():
    rng = np.random.RandomState(0)
    assert utils.mean_check(lambda n: rng.normal(1, 2, n), 1, 2, 10000)
    assert not utils.mean_check(lambda n: rng.normal(1.2, 2, n), 1, 2, 10000)
    assert utils.var_check(lambda n: rng.normal(1, 2, n), 2, 10000) and not utils.var_check(rng.rand, 2, 10000)
    buckets, probs = utils.gen_buckets_probs_with_ppf(lambda p: p, 5)
    assert utils.verify_generator(lambda n: nd.array(rng.rand(n)), buckets, probs, nsamples=1000, success_rate=.6)
    with pytest.raises(AssertionError, match="distribution"):
        utils.verify_generator(lambda n: rng.rand(n) ** 2, buckets, probs, nsamples=1000)
    assert utils.chi_square_check(lambda n: rng.randint(0, 3, n), [0, 1, 2], [1 / 3] * 3, 1000)[0] > .01
    assert utils.chi_square_check(lambda n: rng.randint(0, 4, n), [0, 1, 2], [1 / 3] * 3, 1000)[0] == 0
