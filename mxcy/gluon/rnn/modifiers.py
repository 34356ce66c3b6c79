"""Cells that change what other cells do: dropout, zoneout, residual connections."""
from mxcy import nd
from mxcy.base import MXNetTypeError
from mxcy.gluon.rnn.cell import HybridRecurrentCell
from mxcy.gluon.rnn.containers import BidirectionalCell
from mxcy.gluon.rnn.sequence import mask_steps, merge_steps, namespace_of, split_steps

__all__ = ["ModifierCell", "DropoutCell", "ZoneoutCell", "ResidualCell"]


class DropoutCell(HybridRecurrentCell):
    """Dropout of its input, as a cell without states.

    Parameters
    ----------
    rate : float
        Share to drop.
    axes : tuple of int
        Axes along which values are dropped together.
    prefix : str, optional
    params : ParameterDict, optional
    """

    def __init__(self, rate, axes=(), prefix=None, params=None):
        super().__init__(prefix, params)
        if not isinstance(rate, (int, float)):
            raise MXNetTypeError(f"DropoutCell: rate is {rate!r}; expected a number")
        self._rate, self._axes = rate, axes

    def _alias(self):
        return "dropout"

    def state_info(self, batch_size=0):
        return []

    def hybrid_forward(self, F, inputs, states):
        if self._rate > 0:
            inputs = F.Dropout(inputs, p=self._rate, axes=self._axes, name=f"t{self._counter}_fwd")
        return inputs, states

    def unroll(self, length, inputs, begin_state=None, layout="NTC", merge_outputs=None, valid_length=None):
        self.reset()
        if isinstance(inputs, (list, tuple)) and not merge_outputs:
            return super().unroll(length, inputs, begin_state or [], layout, merge_outputs, valid_length)
        merged, states = self(merge_steps(inputs, layout), begin_state or [])       # all steps at once
        if valid_length is not None:
            return mask_steps(merged, length, layout, valid_length, merge_outputs), states
        return merged, states

    def __repr__(self):
        return f"{type(self).__name__}(rate={self._rate}, axes={self._axes})"


class ModifierCell(HybridRecurrentCell):
    """The base of cells that wrap another one; its parameters and states are those of that one.

    Parameters
    ----------
    base_cell : HybridRecurrentCell
    """

    def __init__(self, base_cell):
        if base_cell._modified:
            raise MXNetTypeError(f"{base_cell.name} is wrapped by another cell already")
        base_cell._modified = True
        super().__init__(prefix=base_cell.prefix + self._alias(), params=None)
        self.base_cell = base_cell

    @property
    def params(self):
        """The parameters of the cell within."""
        return self.base_cell.params

    def state_info(self, batch_size=0):
        return self.base_cell.state_info(batch_size)

    def begin_state(self, batch_size=0, func=nd.zeros, **kwargs):
        self.base_cell._modified = False
        try:
            return self.base_cell.begin_state(batch_size=batch_size, func=func, **kwargs)
        finally:
            self.base_cell._modified = True

    def __repr__(self):
        return f"{type(self).__name__}({self.base_cell!r})"


class ZoneoutCell(ModifierCell):
    """Zoneout [1]_: in training, random elements of output and states stay what they were the step before.

    Parameters
    ----------
    base_cell : HybridRecurrentCell
    zoneout_outputs, zoneout_states : float
        Probability for an element of the output, of a state.

    References
    ----------
    .. [1] Krueger et al., "Zoneout: Regularizing RNNs by Randomly Preserving Hidden Activations", arXiv:1606.01305,
       2016.
    """

    def __init__(self, base_cell, zoneout_outputs=0.0, zoneout_states=0.0):
        if isinstance(base_cell, BidirectionalCell):
            raise MXNetTypeError("ZoneoutCell: a BidirectionalCell cannot do single steps; wrap the cells inside of it")
        self._zoneout_outputs, self._zoneout_states = zoneout_outputs, zoneout_states
        super().__init__(base_cell)

    def _alias(self):
        return "zoneout"

    def reset(self):
        super().reset()
        self._last_output = None

    def hybrid_forward(self, F, inputs, states):
        output, new_states = self.base_cell(inputs, states)

        def kept(p, new, old):
            return F.where(F.Dropout(F.ones_like(new), p=p), new, old)
        if self._zoneout_states > 0:
            new_states = [kept(self._zoneout_states, new, old) for new, old in zip(new_states, states)]
        if self._zoneout_outputs > 0:
            last = F.zeros_like(output) if self._last_output is None else self._last_output
            output = kept(self._zoneout_outputs, output, last)
            self._last_output = output
        return output, new_states

    def __repr__(self):
        return (f"{type(self).__name__}(p_out={self._zoneout_outputs}, p_state={self._zoneout_states}, "
                f"{self.base_cell!r})")


class ResidualCell(ModifierCell):
    """Adds its input to the output of the cell within [1]_.

    Parameters
    ----------
    base_cell : HybridRecurrentCell

    References
    ----------
    .. [1] Wu et al., "Google's Neural Machine Translation System", arXiv:1609.08144, 2016.
    """

    def hybrid_forward(self, F, inputs, states):
        output, states = self.base_cell(inputs, states)
        return F.elemwise_add(output, inputs, name=f"t{self._counter}_fwd"), states

    def unroll(self, length, inputs, begin_state=None, layout="NTC", merge_outputs=None, valid_length=None):
        self.reset()
        self.base_cell._modified = False
        try:
            outputs, states = self.base_cell.unroll(length, inputs, begin_state, layout, merge_outputs, valid_length)
        finally:
            self.base_cell._modified = True
        F = namespace_of(inputs)
        merged = not isinstance(outputs, (list, tuple))
        inputs = merge_steps(inputs, layout)
        if valid_length is not None:
            inputs = mask_steps(inputs, length, layout, valid_length, True)
        if merged:
            return F.elemwise_add(outputs, inputs), states
        return [F.elemwise_add(o, x) for o, x in zip(outputs, split_steps(length, inputs, layout))], states
