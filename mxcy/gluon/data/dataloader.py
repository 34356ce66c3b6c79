"""DataLoader: batches of a dataset, read ahead by threads."""
import collections
import weakref

from mxcy.base import MXNetError, MXNetValueError
from mxcy.context import cpu_pinned, num_gpus
from mxcy.gluon.data.batchify import default_batchify_fn
from mxcy.gluon.data.sampler import BatchSampler, RandomSampler, SequentialSampler
from mxcy.ndarray import NDArray

__all__ = ["DataLoader", "default_batchify_fn"]


class DataLoader:
    """Batches of samples of a dataset.

    Parameters
    ----------
    dataset : Dataset, or anything with ``[i]`` and ``len``
    batch_size : int, optional
        Needed without ``batch_sampler``.
    shuffle : bool
        A new random order for every epoch.
    sampler : Sampler, optional
        The order, in place of ``shuffle``.
    last_batch : {'keep', 'discard', 'rollover'}, optional
        See `BatchSampler`; by default 'keep'.
    batch_sampler : Sampler, optional
        Gives lists of sample numbers, in place of the four above.
    batchify_fn : callable, optional
        Makes a batch of a list of samples; by default arrays are stacked.
    num_workers : int
        Number of threads that read ahead; 0: none. Batches come in order all the same.
    pin_memory : bool
        Put batches into page-locked memory, that is on ``mx.cpu_pinned(pin_device_id)``, from which a GPU copies faster
        and by itself. Has no influence where there is no GPU.
    pin_device_id : int
        The GPU that they are for.
    prefetch : int, optional
        How many batches are read ahead; by default twice ``num_workers``.
    thread_pool : bool
        Has no influence: workers are always threads.
    timeout : float
        Seconds to wait for a batch before it is an error.
    auto_reload : bool
        Begin to read the next epoch as soon as the last batch was taken.

    Examples
    --------
    >>> loader = DataLoader(gluon.data.ArrayDataset([1, 2, 3], [4, 5, 6]), batch_size=2)
    >>> [(x.asnumpy().tolist(), y.asnumpy().tolist()) for x, y in loader]
    [([1, 2], [4, 5]), ([3], [6])]
    """

    def __init__(self, dataset, batch_size=None, shuffle=False, sampler=None, last_batch=None, batch_sampler=None,
                 batchify_fn=None, num_workers=0, pin_memory=False, pin_device_id=0, prefetch=None, thread_pool=False,
                 timeout=120, auto_reload=False):
        if timeout <= 0:
            raise MXNetValueError(f"DataLoader: timeout must be more than 0 seconds, got {timeout}")
        self._dataset, self._timeout = dataset, timeout
        self._batch_sampler = _batches(dataset, batch_size, shuffle, sampler, last_batch, batch_sampler)
        self._batchify_fn = batchify_fn or default_batchify_fn
        if pin_memory and num_gpus():
            self._batchify_fn = _Pinned(self._batchify_fn, cpu_pinned(pin_device_id))
        self._num_workers = max(0, num_workers)
        self._prefetch = max(1, 2 * self._num_workers if prefetch is None else prefetch)
        self._pool = self._closing = None
        self._auto_reload = auto_reload and self._num_workers > 0
        self._next_epoch = None
        if self._num_workers:
            import concurrent.futures
            self._pool = concurrent.futures.ThreadPoolExecutor(self._num_workers, "mxcy loader")
            self._closing = weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)
        if self._auto_reload:
            self.refresh()

    def __len__(self):
        return len(self._batch_sampler)

    def __iter__(self):
        if self._pool is None:
            return self._read_here()
        epoch, self._next_epoch = self._next_epoch or _Epoch(self), None
        return epoch.batches(self)

    def refresh(self):
        """Begin to read an epoch now; the next iteration gets it."""
        self._next_epoch = _Epoch(self)

    def clean(self):
        """Forget what was read ahead and end the threads; the loader cannot be used again."""
        self._next_epoch = None
        if self._closing is not None:
            self._closing()

    def _read_here(self):
        for numbers in self._batch_sampler:
            yield _read(self._dataset, self._batchify_fn, numbers)


class _Pinned:
    """What batchify makes, on another context."""

    def __init__(self, batchify_fn, context):
        self._batchify_fn, self._context = batchify_fn, context

    def __call__(self, data):
        return self._move(self._batchify_fn(data))

    def _move(self, batch):
        if isinstance(batch, NDArray):
            return batch.as_in_context(self._context)
        if isinstance(batch, (list, tuple)):
            return [self._move(part) for part in batch]
        return batch


class _Epoch:
    """One pass over the data: a queue of batches that threads work on, in order."""

    def __init__(self, loader):
        self._numbers = iter(loader._batch_sampler)
        self._pending = collections.deque()
        for _ in range(loader._prefetch):
            self._submit(loader)

    def _submit(self, loader):
        numbers = next(self._numbers, None)
        if numbers is not None:
            # the function, not the loader: a waiting task must not keep the loader alive
            self._pending.append(loader._pool.submit(_read, loader._dataset, loader._batchify_fn, numbers))

    def batches(self, loader):
        """Yield the batches; one more is asked for whenever one is taken."""
        try:
            while self._pending:
                batch = self._wait(loader)
                self._submit(loader)
                if not self._pending and loader._auto_reload:
                    loader.refresh()
                yield batch
        finally:                    # also if the caller stops early
            for future in self._pending:
                future.cancel()

    def _wait(self, loader):
        future = self._pending.popleft()
        try:
            return future.result(loader._timeout)
        except TimeoutError:
            if future.done():       # the dataset raised it, not we
                raise
            raise MXNetError(f"DataLoader: a batch took more than timeout={loader._timeout} seconds. Reading a sample "
                             "hangs, or is slow: raise timeout, or num_workers.") from None


def _read(dataset, batchify_fn, numbers):
    return batchify_fn([dataset[i] for i in numbers])


def _batches(dataset, batch_size, shuffle, sampler, last_batch, batch_sampler):
    """The sampler of batches that the arguments of DataLoader describe."""
    if batch_sampler is not None:
        if batch_size is not None or shuffle or sampler is not None or last_batch is not None:
            raise MXNetValueError("DataLoader: batch_sampler takes the place of batch_size, shuffle, sampler and "
                                  "last_batch; leave them out")
        return batch_sampler
    if batch_size is None:
        raise MXNetValueError("DataLoader: pass batch_size, or a batch_sampler")
    if sampler is None:
        sampler = (RandomSampler if shuffle else SequentialSampler)(len(dataset))
    elif shuffle:
        raise MXNetValueError("DataLoader: shuffle and sampler both choose the order; leave one out")
    return BatchSampler(sampler, batch_size, last_batch or "keep")
