"""RNNCell, LSTMCell and GRUCell."""
from mxcy import nd
from mxcy.gluon.parameter import DeferredInitializationError
from mxcy.gluon.rnn.cell import HybridRecurrentCell
from mxcy.gluon.rnn.sequence import axis_of_time, split_steps
from mxcy.nd import NDArray

__all__ = ["RNNCell", "LSTMCell", "GRUCell"]


class _GatedCell(HybridRecurrentCell):
    """A cell whose gates are affine in its input and in its last output."""

    _gates = 1

    def __init__(self, hidden_size, i2h_weight_initializer=None, h2h_weight_initializer=None,
                 i2h_bias_initializer="zeros", h2h_bias_initializer="zeros", input_size=0, prefix=None, params=None):
        super().__init__(prefix=prefix, params=params)
        self._hidden_size, self._input_size = hidden_size, input_size
        self._of_inputs = []                        # while unrolled: products of the inputs to come, the next one last
        rows = self._gates * hidden_size
        for name, shape, init in (("i2h_weight", (rows, input_size), i2h_weight_initializer),
                                  ("h2h_weight", (rows, hidden_size), h2h_weight_initializer),
                                  ("i2h_bias", (rows,), i2h_bias_initializer),
                                  ("h2h_bias", (rows,), h2h_bias_initializer)):
            setattr(self, name, self.params.get(name, shape=shape, init=init, allow_deferred_init=True))

    def state_info(self, batch_size=0):
        return [{"shape": (batch_size, self._hidden_size), "__layout__": "NC"}]

    def _affine(self, F, inputs, state, i2h_weight, h2h_weight, i2h_bias, h2h_bias):
        """The gates' parts of the input and of the last output, and what names of this step start with."""
        prefix, rows = f"t{self._counter}_", self._gates * self._hidden_size
        of_x = self._of_inputs.pop() if self._of_inputs else \
            F.FullyConnected(inputs, i2h_weight, i2h_bias, num_hidden=rows, name=prefix + "i2h")
        return of_x, F.FullyConnected(state, h2h_weight, h2h_bias, num_hidden=rows, name=prefix + "h2h"), prefix

    def unroll(self, length, inputs, begin_state=None, layout="NTC", merge_outputs=None, valid_length=None):
        if isinstance(inputs, NDArray) and inputs.ndim == 3 and inputs.shape[axis_of_time(layout)] == length \
                and not self._active and length > 1:
            self._of_inputs = self._all_of_inputs(length, inputs, layout)
        try:
            return super().unroll(length, inputs, begin_state, layout, merge_outputs, valid_length)
        finally:
            self._of_inputs = []

    def _all_of_inputs(self, length, inputs, layout):
        """The products of all steps' inputs with their weight in one, which is a few times faster than one by one."""
        context = inputs.context
        try:
            weight, bias = self.i2h_weight.data(context), self.i2h_bias.data(context)
        except DeferredInitializationError:         # the first step of this call tells the shapes
            return []
        products = nd.FullyConnected(inputs, weight, bias, num_hidden=self._gates * self._hidden_size, flatten=False)
        return split_steps(length, products, layout)[::-1]

    def __repr__(self):
        rows, features = self.i2h_weight.shape
        return f"{type(self).__name__}({features or None} -> {rows})"


class RNNCell(_GatedCell):
    """The plain recurrent cell of Elman: ``h' = activation(W x + V h)``, with a bias each.

    Parameters
    ----------
    hidden_size : int
    activation : str or Block
    i2h_weight_initializer, h2h_weight_initializer : Initializer or str, optional
        Of W and V.
    i2h_bias_initializer, h2h_bias_initializer : Initializer or str, optional
    input_size : int
        Number of features; 0: learned from the data.
    prefix : str, optional
    params : ParameterDict, optional
    """

    def __init__(self, hidden_size, activation="tanh", i2h_weight_initializer=None, h2h_weight_initializer=None,
                 i2h_bias_initializer="zeros", h2h_bias_initializer="zeros", input_size=0, prefix=None, params=None):
        super().__init__(hidden_size, i2h_weight_initializer, h2h_weight_initializer, i2h_bias_initializer,
                         h2h_bias_initializer, input_size, prefix, params)
        self._activation = activation

    def _alias(self):
        return "rnn"

    def hybrid_forward(self, F, inputs, states, **weights):
        of_x, of_h, prefix = self._affine(F, inputs, states[0], **weights)
        output = self._activate(F, F.elemwise_add(of_x, of_h, name=prefix + "plus0"), self._activation,
                                name=prefix + "out")
        return output, [output]

    def __repr__(self):
        return f"{super().__repr__()[:-1]}, {self._activation})"


class LSTMCell(_GatedCell):
    """Long short-term memory [1]_: with gates i, f, g, o affine in x and h, ``c' = f c + i g``, ``h' = o tanh(c')``.

    Its states are h and c.

    Parameters
    ----------
    hidden_size : int
    i2h_weight_initializer, h2h_weight_initializer : Initializer or str, optional
    i2h_bias_initializer, h2h_bias_initializer : Initializer or str, optional
        `LSTMBias` opens the forget gate.
    input_size : int
        Number of features; 0: learned from the data.
    prefix : str, optional
    params : ParameterDict, optional
    activation : str or Block
        Of g and of the cell.
    recurrent_activation : str or Block
        Of the gates.

    References
    ----------
    .. [1] Hochreiter, Schmidhuber, "Long Short-Term Memory", Neural Computation 9, 1997.
    """

    _gates = 4

    def __init__(self, hidden_size, i2h_weight_initializer=None, h2h_weight_initializer=None,
                 i2h_bias_initializer="zeros", h2h_bias_initializer="zeros", input_size=0, prefix=None, params=None,
                 activation="tanh", recurrent_activation="sigmoid"):
        super().__init__(hidden_size, i2h_weight_initializer, h2h_weight_initializer, i2h_bias_initializer,
                         h2h_bias_initializer, input_size, prefix, params)
        self._activation, self._recurrent_activation = activation, recurrent_activation

    def _alias(self):
        return "lstm"

    def state_info(self, batch_size=0):
        return super().state_info(batch_size) * 2

    def hybrid_forward(self, F, inputs, states, **weights):
        of_x, of_h, prefix = self._affine(F, inputs, states[0], **weights)
        gates = F.SliceChannel(F.elemwise_add(of_x, of_h, name=prefix + "plus0"), num_outputs=4, name=prefix + "slice")
        i, f, g, o = (gates[k] for k in range(4))
        i = self._activate(F, i, self._recurrent_activation, name=prefix + "i")
        f = self._activate(F, f, self._recurrent_activation, name=prefix + "f")
        g = self._activate(F, g, self._activation, name=prefix + "c")
        o = self._activate(F, o, self._recurrent_activation, name=prefix + "o")
        cell = F.elemwise_add(F.elemwise_mul(f, states[1], name=prefix + "mul0"),
                              F.elemwise_mul(i, g, name=prefix + "mul1"), name=prefix + "state")
        shaped = F.Activation(cell, act_type=self._activation, name=prefix + "activation0") \
            if isinstance(self._activation, str) else self._activation(cell)
        output = F.elemwise_mul(o, shaped, name=prefix + "out")
        return output, [output, cell]


class GRUCell(_GatedCell):
    """Gated recurrent unit [1]_: ``h' = (1 - z) tanh(W x + r V h) + z h`` with gates r and z affine in x and h.

    Parameters
    ----------
    hidden_size : int
    i2h_weight_initializer, h2h_weight_initializer : Initializer or str, optional
    i2h_bias_initializer, h2h_bias_initializer : Initializer or str, optional
    input_size : int
        Number of features; 0: learned from the data.
    prefix : str, optional
    params : ParameterDict, optional

    References
    ----------
    .. [1] Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation",
       arXiv:1406.1078, 2014.
    """

    _gates = 3

    def _alias(self):
        return "gru"

    def hybrid_forward(self, F, inputs, states, **weights):
        last = states[0]
        of_x, of_h, prefix = self._affine(F, inputs, last, **weights)
        of_x = F.SliceChannel(of_x, num_outputs=3, name=prefix + "i2h_slice")
        of_h = F.SliceChannel(of_h, num_outputs=3, name=prefix + "h2h_slice")
        r = F.Activation(F.elemwise_add(of_x[0], of_h[0], name=prefix + "plus0"), act_type="sigmoid",
                         name=prefix + "r_act")
        z = F.Activation(F.elemwise_add(of_x[1], of_h[1], name=prefix + "plus1"), act_type="sigmoid",
                         name=prefix + "z_act")
        inner = F.elemwise_add(of_x[2], F.elemwise_mul(r, of_h[2], name=prefix + "mul0"), name=prefix + "plus2")
        candidate = F.Activation(inner, act_type="tanh", name=prefix + "h_act")
        rest = F.elemwise_sub(F.ones_like(z, name=prefix + "ones_like0"), z, name=prefix + "minus0")
        output = F.elemwise_add(F.elemwise_mul(rest, candidate, name=prefix + "mul1"),
                                F.elemwise_mul(z, last, name=prefix + "mul20"), name=prefix + "out")
        return output, [output]
