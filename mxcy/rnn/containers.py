"""Cells made of cells of symbols: one on top of another, and one for each direction."""
from mxcy import sym
from mxcy.base import MXNetError, MXNetTypeError
from mxcy.gluon.rnn.sequence import axis_of_time, merge_steps, split_steps
from mxcy.rnn.cell import BaseRNNCell

__all__ = ["BidirectionalCell", "SequentialRNNCell"]


class _Container(BaseRNNCell):
    """A cell with cells inside."""

    def __init__(self, params):
        super().__init__(prefix="", params=params)
        self._override_params, self._cells = params is not None, []

    def _adopt(self, cell):
        """Add a cell; its variables become this one's, or this one's become its."""
        if self._override_params:
            if not cell._own_params:
                raise MXNetTypeError("a cell was given params, and so was the one it is added to; give them to one")
            cell._params._params.update(self._params._params)
        self._params._params.update(cell._params._params)
        self._cells.append(cell)

    def reset(self):
        super().reset()
        for cell in getattr(self, "_cells", ()):
            cell.reset()

    @property
    def state_info(self):
        return [info for cell in self._cells for info in cell.state_info]

    def begin_state(self, func=sym.zeros, **kwargs):
        if self._modified:
            raise MXNetError("this cell is inside of another one, such as ZoneoutCell: call begin_state of that one")
        return [state for cell in self._cells for state in cell.begin_state(func=func, **kwargs)]

    def unpack_weights(self, args):
        for cell in self._cells:
            args = cell.unpack_weights(args)
        return args

    def pack_weights(self, args):
        for cell in self._cells:
            args = cell.pack_weights(args)
        return args

    def _deal(self, states):
        """For each cell its part of the states."""
        at, parts = 0, []
        for cell in self._cells:
            parts.append(states[at:at + len(cell.state_info)])
            at += len(cell.state_info)
        return parts


class SequentialRNNCell(_Container):
    """Cells on top of each other: the output of one is the input of the next.

    Parameters
    ----------
    params : RNNParams, optional
        Variables to share.
    """

    def __init__(self, params=None):
        super().__init__(params)

    def add(self, cell):
        """Put a cell on top."""
        self._adopt(cell)

    def __call__(self, inputs, states):
        self._counter += 1
        after = []
        for cell, part in zip(self._cells, self._deal(states)):
            if isinstance(cell, BidirectionalCell):
                raise MXNetTypeError("a BidirectionalCell cannot do single steps; use unroll")
            inputs, new = cell(inputs, part)
            after += new
        return inputs, after

    def unroll(self, length, inputs, begin_state=None, layout="NTC", merge_outputs=None):
        self.reset()
        states = self.begin_state() if begin_state is None else begin_state
        after = []
        for i, (cell, part) in enumerate(zip(self._cells, self._deal(states))):
            merge = merge_outputs if i == len(self._cells) - 1 else None
            inputs, new = cell.unroll(length, inputs, part, layout, merge)
            after += new
        return inputs, after


class BidirectionalCell(_Container):
    """One cell from the first step to the last and another from the last to the first; their outputs are joined.

    Parameters
    ----------
    l_cell : BaseRNNCell
        From the first step to the last.
    r_cell : BaseRNNCell
    params : RNNParams, optional
    output_prefix : str
        What names of outputs start with.
    """

    def __init__(self, l_cell, r_cell, params=None, output_prefix="bi_"):
        super().__init__(params)
        self._output_prefix = output_prefix
        self._adopt(l_cell)
        self._adopt(r_cell)

    def __call__(self, inputs, states):
        """Not possible: see `unroll`."""
        raise NotImplementedError("a BidirectionalCell cannot do single steps, as it needs those to come; use unroll")

    def unroll(self, length, inputs, begin_state=None, layout="NTC", merge_outputs=None):
        self.reset()
        steps = split_steps(length, inputs, layout)
        states = self.begin_state() if begin_state is None else begin_state
        (l_cell, r_cell), (of_left, of_right) = self._cells, self._deal(states)
        left, left_states = l_cell.unroll(length, steps, of_left, layout, merge_outputs)
        right, right_states = r_cell.unroll(length, steps[::-1], of_right, layout, merge_outputs)
        if merge_outputs is None:
            merge_outputs = isinstance(left, sym.Symbol) and isinstance(right, sym.Symbol)
        if merge_outputs:
            right = sym.reverse(merge_steps(right, layout), axis=axis_of_time(layout))
            outputs = sym.Concat(merge_steps(left, layout), right, dim=2, name=f"{self._output_prefix}out")
        else:
            pairs = zip(split_steps(length, left, layout), split_steps(length, right, layout)[::-1])
            outputs = [sym.Concat(a, b, dim=1, name=f"{self._output_prefix}t{i}") for i, (a, b) in enumerate(pairs)]
        return outputs, [left_states, right_states]
