"""Convolutions and transposed convolutions in one to three dimensions, and reflection padding."""
from mxcy.base import MXNetValueError
from mxcy.gluon.hybrid_block import HybridBlock
from mxcy.gluon.nn.activations import Activation

__all__ = ["Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "ReflectionPad2D"]


def spread(value, ndim, what):
    """A tuple of ``ndim`` whole numbers from one or several."""
    value = (value,) * ndim if isinstance(value, int) else tuple(value)
    if len(value) != ndim:
        raise MXNetValueError(f"{what} must be an int or {ndim} of them, got {value}")
    return value


class _Conv(HybridBlock):
    """What all convolutions share; subclasses fix the number of dimensions and the operator."""

    _transposed = False

    def __init__(self, channels, kernel_size, strides, padding, dilation, groups, layout, in_channels=0,
                 activation=None,
                 use_bias=True, weight_initializer=None, bias_initializer="zeros", output_padding=None, prefix=None,
                 params=None):
        super().__init__(prefix=prefix, params=params)
        ndim = len(layout) - 2
        if sorted(layout) != sorted("NCDHW"[:2] + "DHW"[3 - ndim:]):
            raise MXNetValueError(f"{type(self).__name__}: unknown layout {layout!r}")
        self._channels, self._in_channels, self._layout = channels, in_channels, layout
        self._settings = {"kernel": spread(kernel_size, ndim, "kernel_size"),
                          "stride": spread(strides, ndim, "strides"),
                          "dilate": spread(dilation, ndim, "dilation"), "pad": spread(padding, ndim, "padding"),
                          "num_filter": channels, "num_group": groups, "no_bias": not use_bias, "layout": layout}
        if output_padding is not None:
            self._settings["adj"] = spread(output_padding, ndim, "output_padding")
        with self.name_scope():
            self.weight = self.params.get("weight", shape=self._weight_shape(in_channels), init=weight_initializer,
                                          allow_deferred_init=True)
            self.bias = self.params.get("bias", shape=(channels,), init=bias_initializer,
                                        allow_deferred_init=True) if use_bias else None
            self.act = None if activation is None else Activation(activation, prefix=f"{activation}_")

    def _alias(self):
        return "conv"

    def _weight_shape(self, in_channels):
        """(out, in / groups, *kernel), transposed: (in, out / groups, *kernel); axes in the order of the layout."""
        groups = self._settings["num_group"]
        if self._transposed:
            first, second = in_channels, self._channels // groups
        else:
            first, second = self._channels, in_channels // groups
        sizes = dict(zip(self._layout.replace("N", "").replace("C", ""), self._settings["kernel"]), N=first, C=second)
        return tuple(sizes[axis] for axis in self._layout)

    def hybrid_forward(self, F, x, weight, bias=None):
        operator = F.Deconvolution if self._transposed else F.Convolution
        out = operator(x, weight, name="fwd", **self._settings) if bias is None else \
            operator(x, weight, bias, name="fwd", **self._settings)
        return out if self.act is None else self.act(out)

    def __repr__(self):
        s, ndim = self._settings, len(self._layout) - 2
        parts = [f"{self.weight.shape[1] or None} -> {self.weight.shape[0]}", f"kernel_size={s['kernel']}",
                 f"stride={s['stride']}"]
        parts += [f"padding={s['pad']}"] if s["pad"] != (0,) * ndim else []
        parts += [f"dilation={s['dilate']}"] if s["dilate"] != (1,) * ndim else []
        parts += [f"groups={s['num_group']}"] if s["num_group"] != 1 else []
        parts += ["bias=False"] if self.bias is None else []
        parts += [repr(self.act)] if self.act is not None else []
        return f"{type(self).__name__}({', '.join(parts)})"


_PARAMETERS = """

    Parameters
    ----------
    channels : int
        Number of output channels.
    kernel_size, strides, padding, dilation : int or tuple of int
    {more}groups : int
        The channels are split into so many groups, each convolved on its own.
    layout : str
        Meaning of the axes of the data.
    activation : str, optional
        See `Activation`; by default none.
    use_bias : bool
    weight_initializer, bias_initializer : Initializer or str, optional
    in_channels : int
        Number of input channels; 0: learned from the data.
    """


class Conv1D(_Conv):
    __doc__ = "Convolution along one axis." + _PARAMETERS.format(more="")

    def __init__(self, channels, kernel_size, strides=1, padding=0, dilation=1, groups=1, layout="NCW", activation=None,
                 use_bias=True, weight_initializer=None, bias_initializer="zeros", in_channels=0, **kwargs):
        super().__init__(channels, kernel_size, strides, padding, dilation, groups, layout, in_channels, activation,
                         use_bias, weight_initializer, bias_initializer, **kwargs)


class Conv2D(_Conv):
    __doc__ = "Convolution of pictures." + _PARAMETERS.format(more="")

    def __init__(self, channels, kernel_size, strides=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, layout="NCHW",
                 activation=None, use_bias=True, weight_initializer=None, bias_initializer="zeros", in_channels=0,
                 **kwargs):
        super().__init__(channels, kernel_size, strides, padding, dilation, groups, layout, in_channels, activation,
                         use_bias, weight_initializer, bias_initializer, **kwargs)


class Conv3D(_Conv):
    __doc__ = "Convolution of volumes or films." + _PARAMETERS.format(more="")

    def __init__(self, channels, kernel_size, strides=(1, 1, 1), padding=(0, 0, 0), dilation=(1, 1, 1), groups=1,
                 layout="NCDHW", activation=None, use_bias=True, weight_initializer=None, bias_initializer="zeros",
                 in_channels=0, **kwargs):
        super().__init__(channels, kernel_size, strides, padding, dilation, groups, layout, in_channels, activation,
                         use_bias, weight_initializer, bias_initializer, **kwargs)


_MORE = "output_padding : int or tuple of int\n        Added to one side of the output's shape.\n    "


class Conv1DTranspose(_Conv):
    __doc__ = "Transposed convolution (deconvolution) along one axis." + _PARAMETERS.format(more=_MORE)
    _transposed = True

    def __init__(self, channels, kernel_size, strides=1, padding=0, output_padding=0, dilation=1, groups=1,
                 layout="NCW",
                 activation=None, use_bias=True, weight_initializer=None, bias_initializer="zeros", in_channels=0,
                 **kwargs):
        super().__init__(channels, kernel_size, strides, padding, dilation, groups, layout, in_channels, activation,
                         use_bias, weight_initializer, bias_initializer, output_padding, **kwargs)


class Conv2DTranspose(_Conv):
    __doc__ = "Transposed convolution (deconvolution) of pictures." + _PARAMETERS.format(more=_MORE)
    _transposed = True

    def __init__(self, channels, kernel_size, strides=(1, 1), padding=(0, 0), output_padding=(0, 0), dilation=(1, 1),
                 groups=1, layout="NCHW", activation=None, use_bias=True, weight_initializer=None,
                 bias_initializer="zeros", in_channels=0, **kwargs):
        super().__init__(channels, kernel_size, strides, padding, dilation, groups, layout, in_channels, activation,
                         use_bias, weight_initializer, bias_initializer, output_padding, **kwargs)


class Conv3DTranspose(_Conv):
    __doc__ = "Transposed convolution (deconvolution) of volumes." + _PARAMETERS.format(more=_MORE)
    _transposed = True

    def __init__(self, channels, kernel_size, strides=(1, 1, 1), padding=(0, 0, 0), output_padding=(0, 0, 0),
                 dilation=(1, 1, 1), groups=1, layout="NCDHW", activation=None, use_bias=True, weight_initializer=None,
                 bias_initializer="zeros", in_channels=0, **kwargs):
        super().__init__(channels, kernel_size, strides, padding, dilation, groups, layout, in_channels, activation,
                         use_bias, weight_initializer, bias_initializer, output_padding, **kwargs)


class ReflectionPad2D(HybridBlock):
    """Pad pictures by reflecting their borders.

    Parameters
    ----------
    padding : int or tuple of int
        One width for all sides, or the eight numbers of ``nd.pad``.
    """

    def __init__(self, padding=0, **kwargs):
        super().__init__(**kwargs)
        self._padding = (0, 0, 0, 0, padding, padding, padding, padding) if isinstance(padding, int) else tuple(padding)
        if len(self._padding) != 8:
            raise MXNetValueError(f"ReflectionPad2D: padding must be an int or 8 of them, got {padding}")

    def hybrid_forward(self, F, x):
        return F.pad(x, mode="reflect", pad_width=self._padding)
