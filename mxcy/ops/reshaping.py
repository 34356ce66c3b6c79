"""The rules by which a requested shape becomes a shape: special numbers, and the older forms."""
from math import prod

from mxcy.base import MXNetValueError

__all__ = ["infer_reshape", "legacy_reshape", "replace_axes"]


def infer_reshape(shape, target, reverse=False):
    """The shape that ``target`` means for an array of ``shape``.

    Parameters
    ----------
    shape : tuple of int
        What the array has.
    target : tuple of int
        What is wanted. 0 keeps the size of this axis, -1 (once) stands for whatever is left, -2 keeps all remaining
        axes, -3 joins two axes, -4 splits an axis into the two numbers that follow it, of which one may be -1.
    reverse : bool
        Match ``target`` to ``shape`` from the last axis to the first.

    Raises
    ------
    MXNetValueError
        If ``target`` does not fit.

    Examples
    --------
    >>> infer_reshape((2, 3, 4), (0, -1)), infer_reshape((8, 3), (-4, 2, -1, 0))
    ((2, 12), (2, 4, 3))
    """
    groups = special_groups(shape, target)
    source = list(shape)
    if reverse:
        groups.reverse()
        source.reverse()
    result, unknown, at = [], None, 0
    for group in groups:
        code = group[0]
        taken = 2 if code == -3 else len(source) - at if code == -2 else 1
        if code in (0, -3, -4) and at + taken > len(source):
            raise mismatch(shape, target, f"{code} needs {taken} more axes of the array")
        sizes = source[at:at + taken]
        at += max(taken, 0)
        if code == -4:
            sizes = split_size(sizes[0], group[1:], shape, target)
            sizes = sizes[::-1] if reverse else sizes
        elif code == -3:
            sizes = [sizes[0] * sizes[1]]
        elif code == -1:
            if unknown is not None:
                raise mismatch(shape, target, "only one size can be -1")
            unknown, sizes = len(result), [1]
        elif code > 0:
            sizes = [code]
        result += sizes
    if unknown is not None:
        known, size = prod(result), prod(shape)
        if known == 0 or size % known:
            raise mismatch(shape, target, f"{size} items are no multiple of the {known} of the other axes")
        result[unknown] = size // known
    elif prod(result) != prod(shape):
        raise mismatch(shape, target, f"{prod(shape)} items do not fill {prod(result)} places")
    return tuple(result[::-1] if reverse else result)


def mismatch(shape, target, reason):
    return MXNetValueError(f"an array of shape {tuple(shape)} cannot take the shape {tuple(target)}: {reason}")


def special_groups(shape, target):
    """``target`` cut into the numbers that belong together: one each, but three for a split."""
    groups, numbers = [], list(target)
    while numbers:
        length = 3 if numbers[0] == -4 else 1
        group, numbers = numbers[:length], numbers[length:]
        if group[0] < -4 or len(group) < length:
            raise mismatch(shape, target, f"{group[0]} is none of 0, -1, -2, -3" if group[0] < -4
                           else "-4 must be followed by two numbers")
        groups.append(group)
    return groups


def split_size(size, parts, shape, target):
    """An axis of ``size`` as two, one of which may be -1."""
    first, second = parts
    if first == -1 and second > 0:
        first = size // second
    elif second == -1 and first > 0:
        second = size // first
    if first < 0 or second < 0 or first * second != size:
        raise mismatch(shape, target, f"an axis of {size} cannot be split into {tuple(parts)}")
    return [first, second]


def legacy_reshape(shape, target, keep_highest):
    """The shape that the old parameters ``target_shape`` and ``keep_highest`` mean: one 0 stands for what is left."""
    result = list(target)
    if keep_highest and shape:
        result[0] = shape[0]
    unknown = [i for i, n in enumerate(result) if n == 0 and not (keep_highest and i == 0)]
    if len(unknown) == 1:
        rest = prod(n for i, n in enumerate(result) if i != unknown[0])
        result[unknown[0]] = prod(shape) // rest if rest else 0
    if prod(result) != prod(shape) or min(result, default=0) < 0:
        raise mismatch(shape, target, f"target_shape gives {tuple(result)}, of {prod(result)} items")
    return tuple(result)


def replace_axes(lhs, rhs, of_lhs, of_rhs):
    """``lhs`` with its axes from begin to end replaced by those of ``rhs``; each pair (begin, end) may hold Nones."""
    spans = []
    for name, shape, (begin, end) in (("lhs", lhs, of_lhs), ("rhs", rhs, of_rhs)):
        ndim = len(shape)
        first = 0 if begin is None else begin + ndim if begin < 0 else begin
        last = ndim if end is None else end + ndim if end < 0 else end
        if not 0 <= first < last <= ndim and (first, last) != (0, ndim):
            raise MXNetValueError(f"reshape_like: {name}_begin={begin}, {name}_end={end} select no axes of {name}, "
                                  f"which has shape {shape}")
        spans.append((first, last))
    (first, last), (begin, end) = spans
    result = (*lhs[:first], *rhs[begin:end], *lhs[last:])
    if prod(result) != prod(lhs):
        raise mismatch(lhs, result, f"{prod(lhs)} items do not fill {prod(result)} places")
    return result
