"""Cells of symbols that change what other cells do: dropout, zoneout, residual connections."""
from mxcy import sym
from mxcy.base import MXNetTypeError
from mxcy.gluon.rnn.sequence import merge_steps, split_steps
from mxcy.rnn.cell import BaseRNNCell

__all__ = ["DropoutCell", "ModifierCell", "ResidualCell", "ZoneoutCell"]


class DropoutCell(BaseRNNCell):
    """Dropout of its input, as a cell without states.

    Parameters
    ----------
    dropout : float
        Share to drop.
    prefix : str
    params : RNNParams, optional
    """

    def __init__(self, dropout, prefix="dropout_", params=None):
        super().__init__(prefix, params)
        if not isinstance(dropout, (int, float)):
            raise MXNetTypeError(f"DropoutCell: dropout is {dropout!r}; expected a number")
        self._dropout = dropout

    @property
    def state_info(self):
        return []

    def __call__(self, inputs, states):
        return sym.Dropout(inputs, p=self._dropout) if self._dropout > 0 else inputs, states

    def unroll(self, length, inputs, begin_state=None, layout="NTC", merge_outputs=None):
        self.reset()
        if isinstance(inputs, (list, tuple)) and not merge_outputs:
            return super().unroll(length, inputs, begin_state, layout, merge_outputs)
        output, _ = self(merge_steps(inputs, layout), [])           # all steps at once
        return split_steps(length, output, layout) if merge_outputs is False else output, []


class ModifierCell(BaseRNNCell):
    """The base of cells that wrap another one; its variables and states are those of that one.

    Parameters
    ----------
    base_cell : BaseRNNCell
    """

    def __init__(self, base_cell):
        base_cell._modified = True
        self.base_cell = base_cell
        super().__init__()

    @property
    def params(self):
        self._own_params = False
        return self.base_cell.params

    @property
    def state_info(self):
        return self.base_cell.state_info

    def reset(self):
        super().reset()
        self.base_cell.reset()

    def begin_state(self, func=sym.zeros, **kwargs):
        self.base_cell._modified = False
        try:
            return self.base_cell.begin_state(func=func, **kwargs)
        finally:
            self.base_cell._modified = True

    def unpack_weights(self, args):
        return self.base_cell.unpack_weights(args)

    def pack_weights(self, args):
        return self.base_cell.pack_weights(args)


class ZoneoutCell(ModifierCell):
    """Zoneout [1]_: in training, random elements of output and states stay what they were the step before.

    Parameters
    ----------
    base_cell : BaseRNNCell
    zoneout_outputs, zoneout_states : float
        Probability for an element of the output, of a state.

    References
    ----------
    .. [1] Krueger et al., "Zoneout: Regularizing RNNs by Randomly Preserving Hidden Activations", arXiv:1606.01305,
       2016.
    """

    def __init__(self, base_cell, zoneout_outputs=0., zoneout_states=0.):
        super().__init__(base_cell)
        self._zoneout_outputs, self._zoneout_states = zoneout_outputs, zoneout_states

    def reset(self):
        super().reset()
        self._last_output = None

    def __call__(self, inputs, states):
        output, new_states = self.base_cell(inputs, states)

        def kept(p, new, old):
            return sym.where(sym.Dropout(sym.ones_like(new), p=p), new, old) if p > 0 else new
        last = sym.zeros_like(output) if self._last_output is None else self._last_output
        output = self._last_output = kept(self._zoneout_outputs, output, last)
        return output, [kept(self._zoneout_states, new, old) for new, old in zip(new_states, states)]


class ResidualCell(ModifierCell):
    """Adds its input to the output of the cell within.

    Parameters
    ----------
    base_cell : BaseRNNCell
    """

    def __call__(self, inputs, states):
        output, states = self.base_cell(inputs, states)
        return sym.elemwise_add(output, inputs, name=f"{output.name}_plus_residual"), states

    def unroll(self, length, inputs, begin_state=None, layout="NTC", merge_outputs=None):
        self.reset()
        self.base_cell._modified = False
        try:
            outputs, states = self.base_cell.unroll(length, inputs, begin_state, layout, merge_outputs)
        finally:
            self.base_cell._modified = True
        if isinstance(outputs, sym.Symbol):
            return sym.elemwise_add(outputs, merge_steps(inputs, layout)), states
        return [sym.elemwise_add(output, x, name=f"{output.name}_plus_residual")
                for output, x in zip(outputs, split_steps(length, inputs, layout))], states
