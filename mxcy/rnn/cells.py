"""RNNCell, LSTMCell and GRUCell of symbols."""
from mxcy import initializer, sym
from mxcy.rnn.cell import BaseRNNCell

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]


class _GatedCell(BaseRNNCell):
    """A cell whose gates are affine in its input and in its last output."""

    def __init__(self, num_hidden, prefix, params, **bias):
        super().__init__(prefix, params)
        self._num_hidden = num_hidden
        self._weights = {group: (self._params.get(f"{group}_weight"),
                                 self._params.get(f"{group}_bias", **(bias if group == "i2h" else {})))
                         for group in ("i2h", "h2h")}

    @property
    def state_info(self):
        return [{"shape": (0, self._num_hidden), "__layout__": "NC"}]

    def _affine(self, group, data, name):
        weight, bias = self._weights[group]
        return sym.FullyConnected(data, weight, bias, num_hidden=len(self._gate_names) * self._num_hidden,
                                  name=f"{name}{group}")

    def _next_name(self):
        """What names of this step start with."""
        self._counter += 1
        return f"{self._prefix}t{self._counter}_"


class RNNCell(_GatedCell):
    """The plain recurrent cell: ``h' = activation(W x + V h)``, with a bias each.

    Parameters
    ----------
    num_hidden : int
    activation : str
    prefix : str
    params : RNNParams, optional
    """

    def __init__(self, num_hidden, activation="tanh", prefix="rnn_", params=None):
        super().__init__(num_hidden, prefix, params)
        self._activation = activation

    @property
    def _gate_names(self):
        return ("",)

    def __call__(self, inputs, states):
        name = self._next_name()
        output = sym.Activation(self._affine("i2h", inputs, name) + self._affine("h2h", states[0], name),
                                act_type=self._activation, name=f"{name}out")
        return output, [output]


class LSTMCell(_GatedCell):
    """Long short-term memory: with gates i, f, c, o affine in x and h, ``c' = f c + i tanh``, ``h' = o tanh(c')``.

    Parameters
    ----------
    num_hidden : int
    prefix : str
    params : RNNParams, optional
    forget_bias : float
        What the forget gate's bias begins with.
    """

    def __init__(self, num_hidden, prefix="lstm_", params=None, forget_bias=1.0):
        super().__init__(num_hidden, prefix, params, init=initializer.LSTMBias(forget_bias=forget_bias))

    @property
    def _gate_names(self):
        return ("_i", "_f", "_c", "_o")

    @property
    def state_info(self):
        return super().state_info * 2

    def __call__(self, inputs, states):
        name = self._next_name()
        gates = sym.SliceChannel(self._affine("i2h", inputs, name) + self._affine("h2h", states[0], name),
                                 num_outputs=4, name=f"{name}slice")
        i, f, c, o = (sym.Activation(gates[k], act_type=act, name=name + gate)
                      for k, (act, gate) in enumerate((("sigmoid", "i"), ("sigmoid", "f"), ("tanh", "c"),
                                                       ("sigmoid", "o"))))
        cell = sym.elemwise_add(f * states[1], i * c, name=f"{name}state")
        output = sym.elemwise_mul(o, sym.Activation(cell, act_type="tanh"), name=f"{name}out")
        return output, [output, cell]


class GRUCell(_GatedCell):
    """Gated recurrent unit: ``h' = (1 - z) tanh(W x + r V h) + z h`` with gates r and z affine in x and h.

    Parameters
    ----------
    num_hidden : int
    prefix : str
    params : RNNParams, optional
    """

    def __init__(self, num_hidden, prefix="gru_", params=None):
        super().__init__(num_hidden, prefix, params)

    @property
    def _gate_names(self):
        return ("_r", "_z", "_o")

    def __call__(self, inputs, states):
        name, last = self._next_name(), states[0]
        of_x, of_h = (sym.SliceChannel(self._affine(group, data, f"{name}_"), num_outputs=3,
                                       name=f"{name}_{group}_slice")
                      for group, data in (("i2h", inputs), ("h2h", last)))
        r = sym.Activation(of_x[0] + of_h[0], act_type="sigmoid", name=f"{name}_r_act")
        z = sym.Activation(of_x[1] + of_h[1], act_type="sigmoid", name=f"{name}_z_act")
        candidate = sym.Activation(of_x[2] + r * of_h[2], act_type="tanh", name=f"{name}_h_act")
        output = sym.elemwise_add((1. - z) * candidate, z * last, name=f"{name}out")
        return output, [output]
