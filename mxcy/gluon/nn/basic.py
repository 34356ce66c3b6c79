"""Dense, Dropout, Embedding and Flatten."""
from mxcy.base import MXNetValueError
from mxcy.dtype import dtype_name
from mxcy.gluon.hybrid_block import HybridBlock
from mxcy.gluon.nn.activations import Activation

__all__ = ["Dense", "Dropout", "Embedding", "Flatten"]


class Dense(HybridBlock):
    """Fully connected layer: ``activation(x @ weight.T + bias)``.

    Parameters
    ----------
    units : int
        Number of outputs.
    activation : str, optional
        See `Activation`; by default none.
    use_bias : bool
    flatten : bool
        Join all axes of the input but the first; otherwise the last axis is mapped.
    dtype : str or numpy dtype
    weight_initializer, bias_initializer : Initializer or str, optional
    in_units : int
        Number of inputs; 0: learned from the data.
    """

    def __init__(self, units, activation=None, use_bias=True, flatten=True, dtype="float32", weight_initializer=None,
                 bias_initializer="zeros", in_units=0, **kwargs):
        super().__init__(**kwargs)
        self._units, self._in_units, self._flatten = units, in_units, flatten
        with self.name_scope():
            self.weight = self.params.get("weight", shape=(units, in_units), dtype=dtype, init=weight_initializer,
                                          allow_deferred_init=True)
            self.bias = self.params.get("bias", shape=(units,), dtype=dtype, init=bias_initializer,
                                        allow_deferred_init=True) if use_bias else None
            self.act = None if activation is None else Activation(activation, prefix=f"{activation}_")

    def hybrid_forward(self, F, x, weight, bias=None):
        out = F.FullyConnected(x, weight, bias, num_hidden=self._units, no_bias=bias is None, flatten=self._flatten,
                               name="fwd")
        return out if self.act is None else self.act(out)

    def __repr__(self):
        units, in_units = self.weight.shape
        return f"{type(self).__name__}({in_units or None} -> {units}, {self.act or 'linear'})"


class Dropout(HybridBlock):
    """Set a random share ``rate`` of the values to 0 in training and scale up the rest [1]_.

    Parameters
    ----------
    rate : float
        Share to drop, from 0 to 1.
    axes : tuple of int
        Axes along which values are dropped together.

    References
    ----------
    .. [1] Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple way to prevent neural networks
       from overfitting", JMLR 15, 2014.
    """

    def __init__(self, rate, axes=(), **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate <= 1:
            raise MXNetValueError(f"Dropout: rate must be from 0 to 1, got {rate}")
        self._rate, self._axes = rate, axes

    def hybrid_forward(self, F, x):
        if self._rate > 0:
            return F.Dropout(x, p=self._rate, axes=self._axes, name="fwd", cudnn_off=False)
        return F.identity(x)

    def __repr__(self):
        return f"{type(self).__name__}(p = {self._rate}, axes={self._axes})"


class Embedding(HybridBlock):
    """Turn whole numbers into vectors: row ``x`` of a learned table, shape ``(*x.shape, output_dim)``.

    Parameters
    ----------
    input_dim : int
        Number of rows.
    output_dim : int
        Length of a vector.
    dtype : str or numpy dtype
    weight_initializer : Initializer or str, optional
    sparse_grad : bool
        Must be False: row-sparse gradients do not exist here.
    """

    def __init__(self, input_dim, output_dim, dtype="float32", weight_initializer=None, sparse_grad=False, **kwargs):
        super().__init__(**kwargs)
        self._input_dim, self._output_dim, self._dtype = input_dim, output_dim, dtype
        with self.name_scope():
            self.weight = self.params.get("weight", shape=(input_dim, output_dim), init=weight_initializer, dtype=dtype,
                                          allow_deferred_init=True,
                                          grad_stype="row_sparse" if sparse_grad else "default")

    def hybrid_forward(self, F, x, weight):
        return F.Embedding(x, weight, input_dim=self._input_dim, output_dim=self._output_dim,
                           dtype=dtype_name(self.weight.dtype), name="fwd")

    def __repr__(self):
        return f"{type(self).__name__}({self._input_dim} -> {self._output_dim}, {self._dtype})"


class Flatten(HybridBlock):
    """Join all axes but the first."""

    def hybrid_forward(self, F, x):
        return F.Flatten(x)

    def __repr__(self):
        return type(self).__name__
