"""Batch normalisation over the parts of a batch that several devices have.

One thread may bring one device after the other. So a device gets arrays that are filled when the last one has come;
whatever reads them is queued until then.
"""
import threading
import time

from mxcy.autograd import Function, is_training
from mxcy.engine import _engine
from mxcy.imperative._function import F
from mxcy.imperative._promise import Promise
from mxcy.ndarray.creation import empty
from mxcy.ops.batch_norm import sync_batch_norm
from mxcy.ops.infer import infer

__all__ = ["Meeting", "SyncBatchNorm"]

#: Seconds that a wait leaves to other threads to bring their devices. A thread that is the only one does not come.
PATIENCE = 60.


class Meeting:
    """Where devices bring arrays of one shape, and get what becomes of all.

    Parameters
    ----------
    name : str
    ndev : int
        How many devices will come.
    join : callable
        ``join(counts, parts)``, of a number and a list of arrays for each device, gives a list of as many arrays. It
        is called for each device, with all arrays there.
    """

    open = []                           # all meetings that somebody waits at
    lock = threading.RLock()

    def __init__(self, name, ndev, join):
        self.name, self.ndev, self.join = name, ndev, join
        self.came = {}                  # by context: number, arrays, promises
        self.backward = []              # meetings of the gradients of what was computed here
        self.since = 0.

    @classmethod
    def attend(cls, meetings, name, ndev, join, count, arrays):
        """Bring arrays to the first meeting where the device has not been yet, and begin one if there is none.

        Returns
        -------
        meeting : Meeting
        results : list of NDArray
            Filled when all have come.
        """
        context = arrays[0].context
        promises = [Promise(empty(array.shape, context, array.dtype)) for array in arrays]
        with cls.lock:
            meeting = next((each for each in meetings if context not in each.came), None)
            if meeting is None:
                meeting = cls(name, ndev, join)
                meetings.append(meeting)
                cls.open.append((meetings, meeting))
            meeting.came[context], meeting.since = (count, arrays, promises), time.monotonic()
            if len(meeting.came) == ndev:
                meetings.remove(meeting)
                cls.open.remove((meetings, meeting))
                meeting.finish()
        return meeting, [promise.array for promise in promises]

    def finish(self):
        """Fill all arrays; devices are always taken in the same order, so that all get the same numbers."""
        contexts = sorted(self.came, key=lambda context: (context.device_typeid, context.device_id))
        counts = [self.came[context][0] for context in contexts]
        try:
            for here in contexts:
                parts = [[array.as_in_context(here) for array in self.came[there][1]] for there in contexts]
                for promise, result in zip(self.came[here][2], self.join(counts, parts)):
                    promise.keep(result)
        except Exception as error:
            self.refuse(f"{self.name}: {error}")
            raise
        self.came = {}

    def refuse(self, message):
        """Let what waits for the arrays fail."""
        for _, _, promises in self.came.values():
            for promise in promises:
                promise.refuse(message)

    @classmethod
    def give_up(cls):
        """A thread waits for what only a device that has not come could bring."""
        if not cls.lock.acquire(blocking=False):
            return                      # it is coming
        try:
            for meetings, meeting in list(cls.open):
                if threading.active_count() == 1 or time.monotonic() - meeting.since > PATIENCE:
                    cls.open.remove((meetings, meeting))
                    meetings.remove(meeting)
                    came = " and ".join(map(str, meeting.came))
                    meeting.refuse(f"{meeting.name}: {meeting.ndev} devices share a batch, but only {came} came before "
                                   "the program waited for a result. Call the layer on all of them first, or make it "
                                   "for fewer devices")
        finally:
            cls.lock.release()


_engine.when_stuck(Meeting.give_up)


def joint_moments(counts, parts):
    """Mean and variance of all elements from those of the parts."""
    shares = [count / max(sum(counts), 1) for count in counts]
    mean = total([part[0] * share for part, share in zip(parts, shares)])
    return mean, total([(part[1] + F.square(part[0] - mean)) * share for part, share in zip(parts, shares)])


def joint_means(counts, parts):
    """Means of all elements from the sums of the parts."""
    return [total(sums) / max(sum(counts), 1) for sums in zip(*parts)]


def total(arrays):
    """Their sum, in this order."""
    result = arrays[0]
    for array in arrays[1:]:
        result = result + array
    return result


class SyncBatchNorm(Function):
    """A device's part of the operator in training.

    Parameters
    ----------
    key : str
        The layer.
    ndev : int
    moving_mean, moving_var : NDArray
        Moved by backward, as those of BatchNorm.
    eps, momentum : float
    fix_gamma : bool
    """

    meetings = {}                       # of the forward passes of a layer

    def __init__(self, key, ndev, moving_mean, moving_var, eps, momentum, fix_gamma):
        super().__init__()
        self.key, self.ndev, self.moving = key, ndev, (moving_mean, moving_var)
        self.eps, self.momentum, self.fix_gamma = eps, momentum, fix_gamma

    def attend(self, meetings, join, arrays):
        """Bring arrays, each with a number for each channel."""
        return Meeting.attend(meetings, f"SyncBatchNorm {self.key!r}", self.ndev, join, self.count, arrays)

    def forward(self, data, gamma, beta):
        self.count = data.size // max(data.shape[1], 1)
        axes = tuple(axis for axis in range(data.ndim) if axis != 1)
        moments = F.moments(F.cast(data, dtype=gamma.dtype_name), axes=axes)
        self.meeting, (mean, var) = self.attend(self.meetings.setdefault((self.key, self.ndev), []), joint_moments,
                                                list(moments))
        scale = F.rsqrt(var + self.eps)
        gamma = F.ones_like(gamma) if self.fix_gamma else gamma
        self.save_for_backward(data, gamma, mean, scale)
        out = F.BatchNorm(data, gamma, beta, mean, var, eps=self.eps, fix_gamma=False, use_global_stats=True)
        return [out, mean, scale]

    def backward(self, grad, *_):
        data, gamma, mean, scale = self.saved_tensors
        grad_data, grad_gamma, grad_beta = F._backward_BatchNorm(
            grad, data, gamma, mean, scale, *self.moving, eps=self.eps, momentum=self.momentum, fix_gamma=False, axis=1,
            batch=True)
        # grad_data lacks the means of grad and of grad * normalised data as they are here; it should those of all.
        _, (mean_gamma, mean_beta) = self.attend(self.meeting.backward, joint_means, [grad_gamma, grad_beta])
        count = max(self.count, 1)
        slope = gamma * scale * scale * (grad_gamma / count - mean_gamma)
        shift = gamma * scale * (grad_beta / count - mean_beta) - mean * slope
        slope, shift = (F.reshape(x, shape=(-1, *[1] * (data.ndim - 2))) for x in (slope, shift))
        wide = F.broadcast_add(F.broadcast_mul(F.cast(data, dtype=gamma.dtype_name), slope), shift)
        grad_data = F.cast(wide + F.cast(grad_data, dtype=gamma.dtype_name), dtype=data.dtype_name)
        return grad_data, F.zeros_like(grad_gamma) if self.fix_gamma else grad_gamma, grad_beta


def meet(data, gamma, beta, moving_mean, moving_var, eps, momentum, fix_gamma, ndev, key):
    """Rule of the operator: its outputs in training, None otherwise."""
    if not is_training():
        return None
    # What is wrong must show before other devices reckon with these.
    arrays = data, gamma, beta, moving_mean, moving_var
    infer(sync_batch_norm, {"output_mean_var": True}, sync_batch_norm.inputs, [array.shape for array in arrays],
          [array.dtype_name for array in arrays])
    return SyncBatchNorm(key, ndev, moving_mean, moving_var, eps, momentum, fix_gamma)(data, gamma, beta)


sync_batch_norm.rule("meet", meet)
