"""Cells made of cells: one on top of another, and one for each direction."""
from mxcy import nd
from mxcy.base import MXNetError, MXNetTypeError
from mxcy.gluon.rnn.cell import HybridRecurrentCell, RecurrentCell
from mxcy.gluon.rnn.sequence import mask_steps, merge_steps, namespace_of, reverse_steps, split_steps

__all__ = ["SequentialRNNCell", "HybridSequentialRNNCell", "BidirectionalCell"]


def _deal(cells, states):
    """For each cell its part of the states."""
    at = 0
    for cell in cells:
        count = len(cell.state_info())
        yield states[at:at + count]
        at += count


class _Stack:
    """What `SequentialRNNCell` and `HybridSequentialRNNCell` share."""

    def __init__(self, prefix=None, params=None):
        super().__init__(prefix=prefix, params=params)

    def add(self, cell):
        """Put a cell on top."""
        self.register_child(cell)

    def state_info(self, batch_size=0):
        return [info for cell in self._children.values() for info in cell.state_info(batch_size)]

    def begin_state(self, batch_size=0, func=nd.zeros, **kwargs):
        if self._modified:
            raise MXNetError(f"{self.name} is inside of another cell: call begin_state of that one")
        return [state for cell in self._children.values()
                for state in cell.begin_state(batch_size=batch_size, func=func, **kwargs)]

    def unroll(self, length, inputs, begin_state=None, layout="NTC", merge_outputs=None, valid_length=None):
        self.reset()
        states = self._begin_state_for(inputs, layout, begin_state)
        cells, after = list(self._children.values()), []
        for i, (cell, part) in enumerate(zip(cells, _deal(cells, states))):
            inputs, new = cell.unroll(length, inputs, part, layout, merge_outputs if i == len(cells) - 1 else None,
                                      valid_length)
            after += new
        return inputs, after

    def _step(self, inputs, states):
        cells, after = list(self._children.values()), []
        for cell, part in zip(cells, _deal(cells, states)):
            if isinstance(cell, BidirectionalCell):
                raise MXNetTypeError(f"{self.name} has a BidirectionalCell, which cannot do single steps; use unroll")
            inputs, new = cell(inputs, part)
            after += new
        return inputs, after

    def __repr__(self):
        return self._tree(self._children.items())

    def __getitem__(self, key):
        return list(self._children.values())[key]

    def __len__(self):
        return len(self._children)


class SequentialRNNCell(_Stack, RecurrentCell):
    """Cells on top of each other: the output of one is the input of the next.

    Parameters
    ----------
    prefix : str, optional
    params : ParameterDict, optional
    """

    def forward(self, inputs, states):
        return self._step(inputs, states)


class HybridSequentialRNNCell(_Stack, HybridRecurrentCell):
    """Hybrid cells on top of each other; like `SequentialRNNCell`.

    Parameters
    ----------
    prefix : str, optional
    params : ParameterDict, optional
    """

    def hybrid_forward(self, F, inputs, states):
        return self._step(inputs, states)


class BidirectionalCell(HybridRecurrentCell):
    """One cell from the first step to the last and another from the last to the first; their outputs are joined.

    It needs whole sequences: use `unroll`.

    Parameters
    ----------
    l_cell : RecurrentCell
        From the first step to the last.
    r_cell : RecurrentCell
    output_prefix : str
        What names of outputs start with.
    """

    def __init__(self, l_cell, r_cell, output_prefix="bi_"):
        super().__init__(prefix="", params=None)
        self.register_child(l_cell, "l_cell")
        self.register_child(r_cell, "r_cell")
        self._output_prefix = output_prefix

    def __call__(self, inputs, states):
        """Not possible: see `unroll`."""
        raise NotImplementedError("a BidirectionalCell needs the steps to come and cannot do single ones; use unroll")

    def state_info(self, batch_size=0):
        return [info for cell in self._children.values() for info in cell.state_info(batch_size)]

    def begin_state(self, batch_size=0, func=nd.zeros, **kwargs):
        if self._modified:
            raise MXNetError(f"{self.name} is inside of another cell: call begin_state of that one")
        return [state for cell in self._children.values()
                for state in cell.begin_state(batch_size=batch_size, func=func, **kwargs)]

    def unroll(self, length, inputs, begin_state=None, layout="NTC", merge_outputs=None, valid_length=None):
        self.reset()
        F, states = namespace_of(inputs), self._begin_state_for(inputs, layout, begin_state)
        steps = split_steps(length, inputs, layout)
        cells = [self._children["l_cell"], self._children["r_cell"]]
        of_left, of_right = _deal(cells, states)
        left, left_states = cells[0].unroll(length, steps, of_left, layout, bool(merge_outputs), valid_length)
        right, right_states = cells[1].unroll(length, reverse_steps(steps, valid_length), of_right, layout, False,
                                              valid_length)
        right = reverse_steps(right, valid_length)
        if merge_outputs:
            outputs = F.Concat(left, merge_steps(right, layout), dim=2, name=f"{self._output_prefix}out")
        else:
            outputs = [F.Concat(a, b, dim=1, name=f"{self._output_prefix}t{i}")
                       for i, (a, b) in enumerate(zip(left, right))]
        if valid_length is not None:
            outputs = mask_steps(outputs, length, layout, valid_length, merge_outputs)
        return outputs, left_states + right_states

    def __repr__(self):
        return f"{type(self).__name__}(forward={self._children['l_cell']}, backward={self._children['r_cell']})"
