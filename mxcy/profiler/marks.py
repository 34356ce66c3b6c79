"""What users put into a trace themselves: tasks, frames, events, counters, markers."""
import threading
from collections import deque
from typing import NamedTuple

from mxcy.base import MXNetError
from mxcy.engine import _profile

__all__ = ["MARKS", "Counter", "Domain", "Event", "Frame", "Mark", "Marker", "Task"]

_ROOM = 1 << 17                 # marks that are kept; then the oldest go


class Mark(NamedTuple):
    """One line of a trace."""
    kind: str                   # "span", "counter" or "marker"
    category: str
    name: str
    start: int                  # ns
    end: int
    thread: int
    value: object               # of a counter; the scope of a marker


class Marks:
    """What was marked while the profiler ran."""

    def __init__(self):
        self.on = False
        self._marks = deque(maxlen=_ROOM)

    def add(self, kind, category, name, start, end, value=None):
        """Note a mark of this thread, if the profiler runs."""
        if self.on:
            self._marks.append(Mark(kind, category, name, start, end, threading.get_native_id(), value))

    def taken(self):
        """All of them."""
        return list(self._marks)

    def clear(self):
        """Forget them."""
        self._marks.clear()


MARKS = Marks()


class Domain:
    """A group of marks, shown as their category.

    Parameters
    ----------
    name : str

    Examples
    --------
    >>> import mxcy as mx
    >>> domain = mx.profiler.Domain("reading")
    >>> with domain.new_task("decode"):
    ...     domain.new_counter("files", 0).increment()
    """

    def __init__(self, name):
        self.name = name

    def __str__(self):
        return self.name

    def new_task(self, name):
        """A `Task` of this domain."""
        return Task(self, name)

    def new_frame(self, name):
        """A `Frame` of this domain."""
        return Frame(self, name)

    def new_counter(self, name, value=None):
        """A `Counter` of this domain."""
        return Counter(self, name, value)

    def new_marker(self, name):
        """A `Marker` of this domain."""
        return Marker(self, name)


class _Span:
    """Something with a beginning and an end; also a context manager."""

    def __init__(self, category, name):
        self.name, self._category, self._start = name, category, None

    def __str__(self):
        return self.name

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.stop()

    def start(self):
        """The beginning."""
        self._start = _profile.now()

    def stop(self):
        """The end: the span enters the trace."""
        if self._start is None:
            raise MXNetError(f"{type(self).__name__} {self.name!r} was stopped, but it had not been started")
        MARKS.add("span", self._category, self.name, self._start, _profile.now())
        self._start = None


class Task(_Span):
    """A span of work: ``start()`` to ``stop()``.

    Parameters
    ----------
    domain : Domain
    name : str
    """

    def __init__(self, domain, name):
        super().__init__(str(domain), name)
        self.domain = domain


class Frame(Task):
    """A span that repeats, such as a step of training.

    Parameters
    ----------
    domain : Domain
    name : str
    """


class Event(_Span):
    """A span without a domain.

    Parameters
    ----------
    name : str
    """

    def __init__(self, name):
        super().__init__("event", name)


class Counter:
    """A number over time.

    Parameters
    ----------
    domain : Domain
    name : str
    value : number, optional
        What it starts at.
    """

    def __init__(self, domain, name, value=None):
        self.domain, self.name, self.value = domain, name, 0
        self._lock = threading.Lock()
        if value is not None:
            self.set_value(value)

    def __str__(self):
        return self.name

    def set_value(self, value):
        """Set the number."""
        with self._lock:
            self._set(value)

    def increment(self, delta=1):
        """Add to the number."""
        with self._lock:
            self._set(self.value + delta)

    def decrement(self, delta=1):
        """Subtract from the number."""
        self.increment(-delta)

    def __iadd__(self, delta):
        self.increment(delta)
        return self

    def __isub__(self, delta):
        self.decrement(delta)
        return self

    def _set(self, value):
        self.value = value
        now = _profile.now()
        MARKS.add("counter", str(self.domain), self.name, now, now, value)


class Marker:
    """A moment.

    Parameters
    ----------
    domain : Domain
    name : str
    """

    def __init__(self, domain, name):
        self.domain, self.name = domain, name

    def __str__(self):
        return self.name

    def mark(self, scope="process"):
        """Note that it is now; ``scope``, one of global, process, thread, task and marker, says what it concerns."""
        now = _profile.now()
        MARKS.add("marker", str(self.domain), self.name, now, now, scope)
