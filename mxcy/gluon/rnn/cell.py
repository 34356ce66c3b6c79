"""The base of recurrent cells: states, and unrolling over the steps of a sequence."""
from mxcy import nd, sym
from mxcy.base import MXNetError
from mxcy.gluon.block import Block
from mxcy.gluon.hybrid_block import HybridBlock
from mxcy.gluon.rnn.sequence import batch_size_of, mask_steps, merge_steps, namespace_of, split_steps

__all__ = ["RecurrentCell", "HybridRecurrentCell"]


class RecurrentCell(Block):
    """A cell: called with the input of one step and a list of states, it returns an output and the new states.

    A subclass defines `state_info` and ``forward(inputs, states)``.

    Parameters
    ----------
    prefix : str, optional
    params : ParameterDict, optional
        Parameters to share.
    """

    def __init__(self, prefix=None, params=None):
        super().__init__(prefix=prefix, params=params)
        self._modified = False                      # a cell around this one answers for its states
        self.reset()

    def reset(self):
        """Begin a new sequence: names of steps count from 0 again."""
        self._init_counter = -1
        self._counter = -1
        for cell in self._children.values():
            cell.reset()

    def state_info(self, batch_size=0):
        """Shape and layout of each state, as a list of dicts; each cell defines its own."""
        raise NotImplementedError(f"{type(self).__name__} must define state_info")

    def begin_state(self, batch_size=0, func=nd.zeros, **kwargs):
        """The states before the first step.

        Parameters
        ----------
        batch_size : int
            Of symbols it may be 0, and follows from the inputs.
        func : callable
            Makes a state from a shape: `mx.nd.zeros`, `mx.sym.zeros`, `mx.sym.var`, ...
        **kwargs
            Passed to ``func``.

        Returns
        -------
        list of NDArray or list of Symbol
        """
        if self._modified:
            raise MXNetError(f"{self.name} is inside of another cell: call begin_state of that one")
        states = []
        for info in self.state_info(batch_size):
            self._init_counter += 1
            states.append(_make_state(func, f"{self.prefix}begin_state_{self._init_counter}", info, kwargs))
        return states

    def _begin_state_for(self, inputs, layout, given):
        """``given``, or the states before the first step for these inputs."""
        if given is not None:
            return given
        size = batch_size_of(inputs, layout)
        if not size:
            return self.begin_state(func=sym.zeros, batch_size=0)
        first = inputs[0] if isinstance(inputs, (list, tuple)) else inputs
        return self.begin_state(func=nd.zeros, batch_size=size, ctx=first.context, dtype=first.dtype_name)

    def __call__(self, inputs, states):
        """One step.

        Parameters
        ----------
        inputs : NDArray or Symbol
            (batch, features).
        states : list of NDArray or list of Symbol

        Returns
        -------
        output : NDArray or Symbol
        states : list of NDArray or list of Symbol
        """
        self._counter += 1
        return super().__call__(inputs, states)

    def unroll(self, length, inputs, begin_state=None, layout="NTC", merge_outputs=None, valid_length=None):
        """Run the cell over a sequence.

        Parameters
        ----------
        length : int
            Number of steps.
        inputs : NDArray, Symbol or list of them
            All steps in one array laid out as ``layout`` says, or a list with an array for each.
        begin_state : list, optional
            The states before the first step; by default zeros.
        layout : str
            'NTC' or 'TNC'.
        merge_outputs : bool, optional
            True: all outputs in one array. False: a list of them. None: a list, but one array with ``valid_length``.
        valid_length : NDArray or Symbol, optional
            Length of each sample: outputs after it are 0, and the states are those at the ends.

        Returns
        -------
        outputs : NDArray, Symbol or list of them
        states : list of NDArray or list of Symbol
            After the last step.
        """
        self.reset()
        states = self._begin_state_for(inputs, layout, begin_state)
        F, outputs, all_states = namespace_of(inputs), [], []
        for step in split_steps(length, inputs, layout):
            output, states = self(step, states)
            outputs.append(output)
            all_states.append(states)
        if valid_length is not None:
            states = [F.SequenceLast(F.stack(*steps, axis=0), valid_length, use_sequence_length=True, axis=0)
                      for steps in zip(*all_states)]
            return mask_steps(outputs, length, layout, valid_length, merge_outputs), states
        return merge_steps(outputs, layout) if merge_outputs else outputs, states

    def _activate(self, F, x, activation, **kwargs):
        """``activation``, a name or a block, of ``x``."""
        if not isinstance(activation, str):
            return activation(x)
        if activation in ("tanh", "relu", "sigmoid", "softsign"):
            return getattr(F, activation)(x, **kwargs)
        return F.Activation(x, act_type=activation, **kwargs)


class HybridRecurrentCell(RecurrentCell, HybridBlock):
    """A cell that can be hybridized: a subclass defines ``hybrid_forward(F, inputs, states, **params)``."""


def _make_state(func, name, info, kwargs):
    """A state by a function of ``mx.nd`` or ``mx.sym``; symbols have names."""
    info = {**info, **kwargs}
    layout = info.pop("__layout__", None)
    if getattr(func, "__module__", "").startswith(("mxcy.sym", "mxcy.symbol")):
        return func(name=name, __layout__=layout, **info) if func is sym.zeros else func(name=name, **info)
    return func(**info)
