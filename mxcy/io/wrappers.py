"""Iterators around iterators: another length, and reading ahead in threads."""
import queue
import threading
import weakref

from mxcy.base import MXNetValueError
from mxcy.io.data import DataBatch, DataDesc, DataIter

__all__ = ["ResizeIter", "PrefetchingIter"]


class ResizeIter(DataIter):
    """An iterator cut or repeated to ``size`` batches an epoch.

    Parameters
    ----------
    data_iter : DataIter
    size : int
    reset_internal : bool
        Whether `reset` also resets ``data_iter``.
    """

    def __init__(self, data_iter, size, reset_internal=True):
        super().__init__(data_iter.batch_size)
        self.data_iter, self.size, self.reset_internal = data_iter, size, reset_internal
        self.cur, self.current_batch = 0, None
        self.provide_data, self.provide_label = data_iter.provide_data, data_iter.provide_label

    def reset(self):
        self.cur = 0
        if self.reset_internal:
            self.data_iter.reset()

    def iter_next(self):
        if self.cur == self.size:
            return False
        try:
            self.current_batch = self.data_iter.next()
        except StopIteration:
            self.data_iter.reset()
            self.current_batch = self.data_iter.next()
        self.cur += 1
        return True

    def getdata(self):
        return self.current_batch.data

    def getlabel(self):
        return self.current_batch.label

    def getindex(self):
        return self.current_batch.index

    def getpad(self):
        return self.current_batch.pad


class PrefetchingIter(DataIter):
    """Read the next batch of one or several iterators while the current one is used; several become one, side by side.

    Parameters
    ----------
    iters : DataIter or list of DataIter
    rename_data, rename_label : list of dict, optional
        New names of the arrays of each iterator.
    """

    def __init__(self, iters, rename_data=None, rename_label=None):
        self.iters = iters if isinstance(iters, list) else [iters]
        if not self.iters:
            raise MXNetValueError("PrefetchingIter: there are no iterators")
        self.rename_data, self.rename_label = rename_data, rename_label
        super().__init__(self.provide_data[0].shape[0])
        self.n_iter, self.current_batch = len(self.iters), None
        self._start()

    def _start(self):
        self._readers = [_Reader(source) for source in self.iters]
        self._stop = weakref.finalize(self, _stop, self._readers)

    @property
    def provide_data(self):
        """Descriptions of the data of all iterators."""
        return _renamed([source.provide_data for source in self.iters], self.rename_data)

    @property
    def provide_label(self):
        """Descriptions of the labels of all iterators."""
        return _renamed([source.provide_label for source in self.iters], self.rename_label)

    def reset(self):
        self._stop()
        for source in self.iters:
            source.reset()
        self._start()

    def iter_next(self):
        batches = [reader.next() for reader in self._readers]
        if any(batch is None for batch in batches):
            if any(batch is not None for batch in batches):
                raise MXNetValueError("PrefetchingIter: the iterators have different numbers of batches")
            return False
        if len({batch.pad for batch in batches}) > 1:
            raise MXNetValueError("PrefetchingIter: the iterators pad their last batches differently")
        first = batches[0]
        self.current_batch = DataBatch([a for batch in batches for a in batch.data],
                                       [a for batch in batches for a in batch.label or ()], first.pad, first.index,
                                       provide_data=self.provide_data, provide_label=self.provide_label)
        return True

    def next(self):
        if not self.iter_next():
            raise StopIteration
        return self.current_batch

    def getdata(self):
        return self.current_batch.data

    def getlabel(self):
        return self.current_batch.label

    def getindex(self):
        return self.current_batch.index

    def getpad(self):
        return self.current_batch.pad


def _renamed(groups, names):
    """Descriptions of all iterators in one list, under their new names if there are any."""
    names = names or [{}] * len(groups)
    return [DataDesc(new.get(desc.name, desc.name), desc.shape, desc.dtype, desc.layout)
            for new, group in zip(names, groups) for desc in group]


class _Reader:
    """A thread that reads one batch ahead. An error goes to whoever asks for the batch."""

    def __init__(self, source):
        self._ready = queue.Queue(1)
        self._stopped = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._read, args=(source,), name="mxcy prefetch", daemon=True)
        self._thread.start()

    def _read(self, source):
        more = True
        while more and not self._stopped.is_set():
            try:
                result = (source.next(), None)
            except StopIteration:
                result, more = (None, None), False
            except BaseException as error:          # passed on, whatever it is
                result, more = (None, error), False
            self._put(result)

    def _put(self, result):
        while not self._stopped.is_set():
            try:
                return self._ready.put(result, timeout=.1)
            except queue.Full:
                pass

    def next(self):
        """The next batch, or None after the last one."""
        if self._over:
            return None
        batch, error = self._ready.get()
        self._over = batch is None
        if error is not None:
            raise error
        return batch

    def stop(self):
        self._stopped.set()
        self._thread.join()


def _stop(readers):
    for reader in readers:
        reader.stop()
