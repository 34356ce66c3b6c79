"""Packing buffers, each needed from one step to another, into one arena."""
from bisect import bisect_left, insort

__all__ = ["ALIGNMENT", "pack"]

ALIGNMENT = 64
#: Up to so many buffers, orders are tried that take quadratic time.
MANY = 3000


def pack(buffers):
    """Offsets for buffers such that those needed at the same time do not overlap.

    Parameters
    ----------
    buffers : list of (int, int, int)
        Bytes, the first and the last step that needs them.

    Returns
    -------
    offsets : list of int
        Multiples of `ALIGNMENT`.
    size : int
        Bytes of the arena.
    bound : int
        The most bytes needed at a time: no arena is smaller.
    """
    buffers = [(-(-size // ALIGNMENT) * ALIGNMENT, birth, death) for size, birth, death in buffers]
    bound = most_alive(buffers)
    best = None
    for attempt in attempts(buffers):
        size = max((at + buffer[0] for at, buffer in zip(attempt, buffers)), default=0)
        if best is None or size < best[1]:
            best = attempt, size
        if size == bound:
            break
    return *best, bound


def attempts(buffers):
    """Offsets by several greedy orders, the fast ones first."""
    yield in_time(buffers)
    latest = max((death for _, _, death in buffers), default=0)
    yield in_time([(size, latest - death, latest - birth) for size, birth, death in buffers])
    if len(buffers) <= MANY:
        number = range(len(buffers))
        yield one_by_one(buffers, sorted(number, key=lambda i: (-buffers[i][0], buffers[i][1])))
        yield one_by_one(buffers, sorted(number, key=lambda i: (buffers[i][1] - buffers[i][2], -buffers[i][0])))
        yield one_by_one(buffers, sorted(number, key=lambda i: -buffers[i][0] * (1 + buffers[i][2] - buffers[i][1])))


def most_alive(buffers):
    """The most bytes needed at a time."""
    changes = sorted([(birth, 1, size) for size, birth, _ in buffers] +
                     [(death + 1, 0, -size) for size, _, death in buffers])
    alive = most = 0
    for _, _, size in changes:
        alive += size
        most = max(most, alive)
    return most


def one_by_one(buffers, order):
    """Each buffer, in the order given, at the lowest offset that is free while it is needed."""
    offsets, placed = [0] * len(buffers), []                    # placed: (offset, end, birth, death), sorted
    for i in order:
        size, birth, death = buffers[i]
        at = 0
        if size:
            for begin, end, first, last in placed:
                if first <= death and birth <= last:
                    if begin - at >= size:
                        break
                    at = max(at, end)
            insort(placed, (at, at + size, birth, death))
        offsets[i] = at
    return offsets


def in_time(buffers):
    """As an allocator would do it that hands out the best fit, in the order of birth."""
    offsets = [0] * len(buffers)
    dying = sorted((death, i) for i, (size, _, death) in enumerate(buffers) if size)
    free = Free()
    due = 0
    for i in sorted(range(len(buffers)), key=lambda i: (buffers[i][1], -buffers[i][0])):
        size, birth, _ = buffers[i]
        while due < len(dying) and dying[due][0] < birth:
            gone = dying[due][1]
            free.give(offsets[gone], buffers[gone][0])
            due += 1
        offsets[i] = free.take(size) if size else 0
    return offsets


class Free:
    """The free ranges of an arena that grows as needed."""

    def __init__(self):
        self.by_size, self.begins, self.ends, self.top = [], {}, {}, 0

    def take(self, size):
        """The offset of the smallest free range that is large enough; the arena grows where there is none."""
        at = bisect_left(self.by_size, (size, 0))
        if at == len(self.by_size):
            begin = self.remove_ending(self.top) if self.top in self.ends else self.top
            self.top = begin + size
            return begin
        found, begin = self.by_size[at]
        self.remove(begin, found)
        if found > size:
            self.add(begin + size, found - size)
        return begin

    def give(self, begin, size):
        """Make a range free, joined with its neighbours."""
        end = begin + size
        if begin in self.ends:
            begin = self.remove_ending(begin)
        if end in self.begins:
            more = self.begins[end]
            self.remove(end, more)
            end += more
        self.add(begin, end - begin)

    def add(self, begin, size):
        insort(self.by_size, (size, begin))
        self.begins[begin], self.ends[begin + size] = size, begin

    def remove(self, begin, size):
        del self.by_size[bisect_left(self.by_size, (size, begin))], self.begins[begin], self.ends[begin + size]

    def remove_ending(self, end):
        begin = self.ends[end]
        self.remove(begin, end - begin)
        return begin
