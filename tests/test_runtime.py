"""What the build says about itself, and the switches of NumPy mode."""
import pytest

import mxcy as mx
from mxcy.base import MXNetError


def test_features():
    features = mx.runtime.Features()
    assert list(features) == [f.name for f in mx.runtime.feature_list()]
    assert features.is_enabled("openmp") and not features.is_enabled("CUDA") and not features["CUDNN"].enabled
    assert repr(features["CUDA"]) == "✖ CUDA" and "✔ OPENMP" in repr(features)
    with pytest.raises(MXNetError, match="Did you mean 'MKLDNN'"):
        features.is_enabled("mkldn")


def test_numpy_shapes_are_a_switch():
    assert not mx.util.is_np_shape() and not mx.util.is_np_array()
    with mx.util.np_shape(True):
        assert mx.util.is_np_shape()
        with mx.util.np_shape(False):
            assert not mx.util.is_np_shape()
        assert mx.util.is_np_shape()
    assert mx.util.set_np_shape(True) is False and mx.util.set_np_shape(False) is True
    assert mx.util.use_np_shape(mx.util.is_np_shape)() and not mx.util.is_np_shape()


def test_numpy_arrays_are_not_part_of_this_version():
    mx.util.reset_np()
    with mx.util.np_array(False):
        pass
    with pytest.raises(NotImplementedError, match="mx.np"):
        mx.util.set_np()


def test_environment(monkeypatch):
    monkeypatch.delenv("MXCY_TEST", raising=False)
    mx.util.setenv("MXCY_TEST", "1")
    assert mx.util.getenv("MXCY_TEST") == "1"
    mx.util.setenv("MXCY_TEST", None)
    assert mx.util.getenv("MXCY_TEST") is None


def test_names_of_the_package():
    assert mx.np_shape is mx.util.np_shape and mx.rnd is mx.random and mx.AttrScope is mx.attribute.AttrScope
    assert {"nd", "gluon", "np_shape"} <= set(dir(mx))
    assert not hasattr(mx, "nothing_such")
