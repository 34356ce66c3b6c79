"""Sums of arrays of several devices, and copies to them: by NCCL where it is, else from device to device.

Each function takes many sums or copies at once: what NCCL does among the same devices becomes one group of calls.
"""
from mxcy import nd
from mxcy.kvstore._nccl import available, communicator

__all__ = ["add_up", "all_add_up", "copy_out"]


def add_up(lists, places):
    """Add up arrays.

    Parameters
    ----------
    lists : list of list of NDArray
        What to add, from any devices.
    places : list of Context
        Where to have each sum.

    Returns
    -------
    list of NDArray
        The sums; of a single array that is there already, that array.
    """
    totals, groups = [], {}
    for arrays, place in zip(lists, places):
        group = _group(arrays)
        if group is None or place not in (array.context for array in arrays):
            parts = [array.as_in_context(place) for array in arrays]
            totals.append(parts[0] if len(parts) == 1 else nd.add_n(*parts))
            continue
        totals.append(nd.empty(arrays[0].shape, place, arrays[0].dtype))
        for column, value in zip(groups.setdefault(group, ([], [], [])),
                                 (_in_order(arrays), totals[-1], group.numbers.index(place.device_id))):
            column.append(value)
    for group, (sources, targets, roots) in groups.items():
        group.reduce(sources, targets, roots)
    return totals


def all_add_up(lists, targets):
    """Add up arrays and give the sums to all devices, as far as NCCL can.

    Parameters
    ----------
    lists, targets : list of list of NDArray
        What to add, and where the sums go.

    Returns
    -------
    list of bool
        Which of the sums were made.
    """
    done, groups = [], {}
    for arrays, outs in zip(lists, targets):
        group = _group(arrays)
        done.append(group is not None and _group(outs) is group and outs[0].dtype == arrays[0].dtype)
        if done[-1]:
            for column, chosen in zip(groups.setdefault(group, ([], [])), (arrays, outs)):
                column.append(_in_order(chosen))
    for group, (sources, outs) in groups.items():
        group.all_reduce(sources, outs)
    return done


def copy_out(arrays, lists):
    """Copy arrays to other devices.

    Parameters
    ----------
    arrays : list of NDArray
    lists : list of list of NDArray
        The targets of each.
    """
    groups = {}
    for array, targets in zip(arrays, lists):
        group = _group(targets)
        if group is None or array.context not in (target.context for target in targets) \
                or targets[0].dtype != array.dtype:
            for target in targets:
                array.copyto(target)
            continue
        for column, value in zip(groups.setdefault(group, ([], [], [])),
                                 (array, _in_order(targets), group.numbers.index(array.context.device_id))):
            column.append(value)
    for group, (sources, targets, roots) in groups.items():
        group.broadcast(sources, targets, roots)


def _group(arrays):
    """The communicator of the arrays' devices; None if NCCL is not there, or cannot do it with these arrays."""
    contexts = [array.context for array in arrays]
    if len(arrays) < 2 or any(context.device_type != "gpu" for context in contexts) or not available():
        return None
    numbers = sorted(context.device_id for context in contexts)
    first = arrays[0]
    if len(set(numbers)) < len(numbers) or first.dtype_name == "bool" \
            or any(array.shape != first.shape or array.dtype != first.dtype for array in arrays):
        return None
    return communicator(tuple(numbers))


def _in_order(arrays):
    """The arrays, in the order of the communicator's devices."""
    return sorted(arrays, key=lambda array: array.context.device_id)
