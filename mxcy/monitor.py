"""Monitor: statistics of all that an executor computes."""
import logging
import re
from math import sqrt

from mxcy import nd

__all__ = ["Monitor"]


class Monitor:
    """Collects a statistic of outputs, parameters and gradients every ``interval`` batches.

    Parameters
    ----------
    interval : int
    stat_func : callable, optional
        From an NDArray to an NDArray or a list of them; by default ``norm(x) / sqrt(x.size)``.
    pattern : str
        A regular expression that names must match.
    sort : bool
        Sort by name.
    monitor_all : bool
        See inputs of operators too.

    Examples
    --------
    >>> x = mx.sym.var("x")
    >>> executor = (2 * x).simple_bind(mx.cpu(), x=(1,))
    >>> monitor = Monitor(1, stat_func=lambda a: a, pattern="x")
    >>> monitor.install(executor)
    >>> monitor.tic()
    >>> out = executor.forward(x=nd.array([3]))
    >>> monitor.toc()
    [(1, 'x', '3.0\\t')]
    """

    def __init__(self, interval, stat_func=None, pattern=".*", sort=False, monitor_all=False):
        self.interval, self.sort, self.monitor_all = interval, sort, monitor_all
        self.stat_func = stat_func or (lambda x: nd.norm(x) / sqrt(x.size))
        self.re_prog = re.compile(pattern)
        self.activated, self.step = False, 0
        self.queue, self.exes = [], []

    def install(self, exe):
        """See what an `Executor` computes."""
        exe.set_monitor_callback(self._take, self.monitor_all)
        self.exes.append(exe)

    def _take(self, name, array):
        if self.activated and self.re_prog.match(name):
            self.queue.append((self.step, name, self.stat_func(array)))

    def tic(self):
        """To be called before forward: begins to collect, if it is time to."""
        if self.step % self.interval == 0:
            self.queue = []
            self.activated = True
        self.step += 1

    def toc(self):
        """To be called after the update: what was collected, with the parameters.

        Returns
        -------
        list of tuple
            (step, name, text) of each statistic; empty if nothing was collected.
        """
        if not self.activated:
            return []
        for exe in self.exes:
            for name, array in (*exe.arg_dict.items(), *exe.aux_dict.items()):
                self._take(name, array)
        self.activated = False
        found = sorted(self.queue, key=lambda entry: entry[1]) if self.sort else self.queue
        self.queue = []
        return [(step, name, _text(values)) for step, name, values in found]

    def toc_print(self):
        """Log what `toc` gives."""
        for step, name, text in self.toc():
            logging.info("Batch: %7d %30s %s", step, name, text)


def _text(values):
    """Values of a statistic, each followed by a tab."""
    values = values if isinstance(values, (list, tuple)) else [values]
    return "".join(f"{value.asscalar() if value.size == 1 else value.asnumpy()}\t" for value in values)
