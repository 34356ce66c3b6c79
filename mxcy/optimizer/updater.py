"""Updater: an optimizer with the states of the weights that it updates."""
from mxcy.dtype import dtype_name
from mxcy.optimizer import states as files

__all__ = ["Updater", "get_updater"]


class Updater:
    """Applies an optimizer to weights by index, and keeps their states.

    Parameters
    ----------
    optimizer : Optimizer

    Attributes
    ----------
    optimizer : Optimizer
    states : dict
        What ``optimizer.create_state`` made, by index.
    """

    def __init__(self, optimizer):
        self.optimizer = optimizer
        self.states = {}
        self.states_synced = {}

    def __call__(self, index, grad, weight):
        """Update ``weight`` with ``grad``; or several at once, given as lists."""
        if not isinstance(index, (list, tuple)):
            index, grad, weight = [index], [grad], [weight]
        if not index:
            return
        optimizer, states = self.optimizer, self.states
        optimizer._set_current_context(weight[0].context.device_id)
        for i, w in zip(index, weight):
            if i not in states:
                states[i] = optimizer.create_state_multi_precision(i, w)
                self.states_synced[i] = True
            elif not self.states_synced[i]:
                states[i] = self.sync_state_context(states[i], w.context)
                self.states_synced[i] = True
        if optimizer.aggregate_num <= 1:
            for i, g, w in zip(index, grad, weight):
                optimizer.update_multi_precision(i, w, g, states[i])
            return
        for i, g, w in _calls(index, grad, weight, optimizer.aggregate_num):
            optimizer.update_multi_precision(i, w, g, [states[k] for k in i])

    def sync_state_context(self, state, context):
        """``state`` on the device ``context``."""
        if isinstance(state, (tuple, list)):
            return type(state)(self.sync_state_context(part, context) for part in state)
        return state if state is None else state.as_in_context(context)

    def get_states(self, dump_optimizer=False):
        """The states as bytes, for `set_states`; with the optimizer's settings and counts if ``dump_optimizer``."""
        return files.dumps(self.states, self.optimizer) if dump_optimizer else files.pickled(self.states)

    def set_states(self, states):
        """Take over states, from bytes of `get_states` or of MXNet's pickles."""
        loaded, settings = files.loads(states)
        if settings is not None:
            self.optimizer = files.restore(settings, self.optimizer)
        self.states = loaded
        self.states_synced = dict.fromkeys(loaded, False)


def _calls(index, grad, weight, most):
    """(indices, gradients, weights) of each call: tensors of one dtype, at most ``most`` of them."""
    if len(index) <= most and len({w.dtype for w in weight}) == 1:
        yield index, grad, weight
        return
    by_dtype = {}
    for entry in zip(index, grad, weight):
        by_dtype.setdefault(dtype_name(entry[2].dtype), []).append(entry)
    for entries in by_dtype.values():
        for start in range(0, len(entries), most):
            yield tuple(map(list, zip(*entries[start:start + most])))


def get_updater(optimizer):
    """An `Updater` of ``optimizer``: a function ``update(index, grad, weight)``."""
    return Updater(optimizer)
