"""Pooling layers in one to three dimensions."""
from mxcy.base import MXNetValueError
from mxcy.gluon.hybrid_block import HybridBlock
from mxcy.gluon.nn.convolution import spread

__all__ = ["MaxPool1D", "MaxPool2D", "MaxPool3D", "AvgPool1D", "AvgPool2D", "AvgPool3D", "GlobalMaxPool1D",
           "GlobalMaxPool2D", "GlobalMaxPool3D", "GlobalAvgPool1D", "GlobalAvgPool2D", "GlobalAvgPool3D"]

_LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}


class _Pooling(HybridBlock):
    """What all pooling layers share."""

    def __init__(self, pool_size, strides, padding, ceil_mode, global_pool, pool_type, layout, count_include_pad=None,
                 **kwargs):
        super().__init__(**kwargs)
        ndim = len(layout) - 2
        if layout not in _LAYOUTS.get(ndim, ()):
            raise MXNetValueError(f"{type(self).__name__}: layout must be one of {[*_LAYOUTS.values()]}, got "
                                  f"{layout!r}")
        kernel = spread(pool_size, ndim, "pool_size")
        self._settings = {"kernel": kernel, "stride": kernel if strides is None else spread(strides, ndim, "strides"),
                          "pad": spread(padding, ndim, "padding"), "global_pool": global_pool, "pool_type": pool_type,
                          "layout": layout, "pooling_convention": "full" if ceil_mode else "valid"}
        if count_include_pad is not None:
            self._settings["count_include_pad"] = count_include_pad

    def _alias(self):
        return "pool"

    def hybrid_forward(self, F, x):
        return F.Pooling(x, name="fwd", **self._settings)

    def __repr__(self):
        s = self._settings
        return (f"{type(self).__name__}(size={s['kernel']}, stride={s['stride']}, padding={s['pad']}, "
                f"ceil_mode={s['pooling_convention'] == 'full'}, global_pool={s['global_pool']}, "
                f"pool_type={s['pool_type']}, layout={s['layout']})")


_PARAMETERS = """

    Parameters
    ----------
    pool_size : int or tuple of int
    strides : int or tuple of int, optional
        By default ``pool_size``: windows side by side.
    padding : int or tuple of int
    layout : str
        Meaning of the axes of the data.
    ceil_mode : bool
        Whether a window that is cut off by the border counts.
    """
_COUNT = "count_include_pad : bool\n        Whether padding counts in the mean.\n    "


class MaxPool1D(_Pooling):
    __doc__ = "Maximum over windows along one axis." + _PARAMETERS

    def __init__(self, pool_size=2, strides=None, padding=0, layout="NCW", ceil_mode=False, **kwargs):
        super().__init__(pool_size, strides, padding, ceil_mode, False, "max", layout, **kwargs)


class MaxPool2D(_Pooling):
    __doc__ = "Maximum over windows of pictures." + _PARAMETERS

    def __init__(self, pool_size=(2, 2), strides=None, padding=0, layout="NCHW", ceil_mode=False, **kwargs):
        super().__init__(pool_size, strides, padding, ceil_mode, False, "max", layout, **kwargs)


class MaxPool3D(_Pooling):
    __doc__ = "Maximum over windows of volumes." + _PARAMETERS

    def __init__(self, pool_size=(2, 2, 2), strides=None, padding=0, ceil_mode=False, layout="NCDHW", **kwargs):
        super().__init__(pool_size, strides, padding, ceil_mode, False, "max", layout, **kwargs)


class AvgPool1D(_Pooling):
    __doc__ = "Mean over windows along one axis." + _PARAMETERS + _COUNT

    def __init__(self, pool_size=2, strides=None, padding=0, layout="NCW", ceil_mode=False, count_include_pad=True,
                 **kwargs):
        super().__init__(pool_size, strides, padding, ceil_mode, False, "avg", layout, count_include_pad, **kwargs)


class AvgPool2D(_Pooling):
    __doc__ = "Mean over windows of pictures." + _PARAMETERS + _COUNT

    def __init__(self, pool_size=(2, 2), strides=None, padding=0, ceil_mode=False, layout="NCHW",
                 count_include_pad=True,
                 **kwargs):
        super().__init__(pool_size, strides, padding, ceil_mode, False, "avg", layout, count_include_pad, **kwargs)


class AvgPool3D(_Pooling):
    __doc__ = "Mean over windows of volumes." + _PARAMETERS + _COUNT

    def __init__(self, pool_size=(2, 2, 2), strides=None, padding=0, ceil_mode=False, layout="NCDHW",
                 count_include_pad=True, **kwargs):
        super().__init__(pool_size, strides, padding, ceil_mode, False, "avg", layout, count_include_pad, **kwargs)


class _GlobalPooling(_Pooling):
    """Pooling over all positions; every spatial axis becomes 1."""

    def __init__(self, pool_type, layout, **kwargs):
        super().__init__(1, None, 0, True, True, pool_type, layout, **kwargs)


class GlobalMaxPool1D(_GlobalPooling):
    """Maximum over all positions along one axis, which becomes 1."""

    def __init__(self, layout="NCW", **kwargs):
        super().__init__("max", layout, **kwargs)


class GlobalMaxPool2D(_GlobalPooling):
    """Maximum over each picture; both axes become 1."""

    def __init__(self, layout="NCHW", **kwargs):
        super().__init__("max", layout, **kwargs)


class GlobalMaxPool3D(_GlobalPooling):
    """Maximum over each volume; all three axes become 1."""

    def __init__(self, layout="NCDHW", **kwargs):
        super().__init__("max", layout, **kwargs)


class GlobalAvgPool1D(_GlobalPooling):
    """Mean over all positions along one axis, which becomes 1."""

    def __init__(self, layout="NCW", **kwargs):
        super().__init__("avg", layout, **kwargs)


class GlobalAvgPool2D(_GlobalPooling):
    """Mean over each picture; both axes become 1."""

    def __init__(self, layout="NCHW", **kwargs):
        super().__init__("avg", layout, **kwargs)


class GlobalAvgPool3D(_GlobalPooling):
    """Mean over each volume; all three axes become 1."""

    def __init__(self, layout="NCDHW", **kwargs):
        super().__init__("avg", layout, **kwargs)
