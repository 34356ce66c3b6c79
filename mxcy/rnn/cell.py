"""RNNParams and BaseRNNCell: what cells of symbols have in common."""
from mxcy import nd, sym
from mxcy.base import MXNetError, MXNetValueError
from mxcy.gluon.rnn.sequence import merge_steps, split_steps

__all__ = ["BaseRNNCell", "RNNParams"]


class RNNParams:
    """The variables of cells by name; cells given the same one share them.

    Parameters
    ----------
    prefix : str
        What the names start with.
    """

    def __init__(self, prefix=""):
        self._prefix = prefix
        self._params = {}

    def get(self, name, **kwargs):
        """The variable ``name``, made with ``kwargs`` if there is none yet.

        Parameters
        ----------
        name : str
            Without the prefix.
        **kwargs
            See `mx.sym.Variable`.

        Returns
        -------
        Symbol
        """
        name = self._prefix + name
        if name not in self._params:
            self._params[name] = sym.Variable(name, **kwargs)
        return self._params[name]


class BaseRNNCell:
    """A cell: called with the symbol of one step's input and a list of states, it returns an output and new states.

    Parameters
    ----------
    prefix : str
        What the names of variables and outputs start with.
    params : RNNParams, optional
        Variables to share.
    """

    def __init__(self, prefix="", params=None):
        self._own_params = params is None
        self._prefix, self._params = prefix, RNNParams(prefix) if params is None else params
        self._modified = False                      # a cell around this one answers for its states
        self.reset()

    def reset(self):
        """Begin a new graph: names of steps and states count from 0 again."""
        self._init_counter = self._counter = -1

    def __call__(self, inputs, states):
        """One step.

        Parameters
        ----------
        inputs : Symbol
            (batch, features).
        states : list of Symbol

        Returns
        -------
        output : Symbol
        states : list of Symbol
        """
        raise NotImplementedError(f"{type(self).__name__} must define __call__")

    @property
    def params(self):
        """The variables; whoever asks may share them."""
        self._own_params = False
        return self._params

    @property
    def state_info(self):
        """Shape and layout of each state, as a list of dicts."""
        raise NotImplementedError(f"{type(self).__name__} must define state_info")

    @property
    def state_shape(self):
        """Shapes of the states, with 0 for the batch size."""
        return [info["shape"] for info in self.state_info]

    @property
    def _gate_names(self):
        """What the gates are called in unpacked weights."""
        return ()

    def begin_state(self, func=sym.zeros, **kwargs):
        """The states before the first step.

        Parameters
        ----------
        func : callable
            Makes a state: `mx.sym.zeros`, `mx.sym.Variable`, ...
        **kwargs
            Passed to ``func``.

        Returns
        -------
        list of Symbol
        """
        if self._modified:
            raise MXNetError("this cell is inside of another one, such as ZoneoutCell: call begin_state of that one")
        states = []
        for info in self.state_info:
            self._init_counter += 1
            more = info if func is not sym.Variable else {"shape": info["shape"]}
            states.append(func(name=f"{self._prefix}begin_state_{self._init_counter}", **{**more, **kwargs}))
        return states

    def unroll(self, length, inputs, begin_state=None, layout="NTC", merge_outputs=None):
        """The graph of a whole sequence.

        Parameters
        ----------
        length : int
            Number of steps.
        inputs : Symbol or list of Symbol
            All steps in one, laid out as ``layout`` says; or one for each step.
        begin_state : list of Symbol, optional
            By default zeros.
        layout : str
            'NTC' or 'TNC'.
        merge_outputs : bool, optional
            True: all outputs in one symbol. False: a list. None: as the cell makes them.

        Returns
        -------
        outputs : Symbol or list of Symbol
        states : list of Symbol
            After the last step.
        """
        self.reset()
        states = self.begin_state() if begin_state is None else begin_state
        outputs = []
        for step in split_steps(length, inputs, layout):
            output, states = self(step, states)
            outputs.append(output)
        return merge_steps(outputs, layout) if merge_outputs else outputs, states

    def unpack_weights(self, args):
        """Weights and biases of each gate by itself, in place of the joined ones.

        Parameters
        ----------
        args : dict of str to NDArray

        Returns
        -------
        dict of str to NDArray
        """
        args, h = dict(args), getattr(self, "_num_hidden", 0)
        for group in ("i2h", "h2h") if self._gate_names else ():
            for part in ("weight", "bias"):
                joined = take(args, f"{self._prefix}{group}_{part}")
                for i, gate in enumerate(self._gate_names):
                    args[f"{self._prefix}{group}{gate}_{part}"] = joined[i * h:(i + 1) * h].copy()
        return args

    def pack_weights(self, args):
        """The opposite of `unpack_weights`.

        Parameters
        ----------
        args : dict of str to NDArray

        Returns
        -------
        dict of str to NDArray
        """
        args = dict(args)
        for group in ("i2h", "h2h") if self._gate_names else ():
            for part in ("weight", "bias"):
                gates = [take(args, f"{self._prefix}{group}{gate}_{part}") for gate in self._gate_names]
                args[f"{self._prefix}{group}_{part}"] = nd.concat(*gates, dim=0)
        return args


def take(args, name):
    """Remove and return a parameter."""
    if name not in args:
        raise MXNetValueError(f"parameter {name!r} is missing; there are {', '.join(sorted(args)) or 'none'}")
    return args.pop(name)
