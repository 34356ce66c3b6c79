"""Loss functions: one number for each sample, how far predictions are from labels."""
from math import pi

from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.gluon.hybrid_block import HybridBlock

__all__ = ["Loss", "L2Loss", "L1Loss", "SigmoidBinaryCrossEntropyLoss", "SigmoidBCELoss", "SoftmaxCrossEntropyLoss",
           "SoftmaxCELoss", "KLDivLoss", "CTCLoss", "HuberLoss", "HingeLoss", "SquaredHingeLoss", "LogisticLoss",
           "TripletLoss", "PoissonNLLLoss", "CosineEmbeddingLoss", "SDMLLoss"]


class Loss(HybridBlock):
    """Base class.

    Parameters
    ----------
    weight : float or None
        Factor on the loss.
    batch_axis : int
        The axis of samples; losses are averaged over all others.
    """

    def __init__(self, weight, batch_axis, **kwargs):
        super().__init__(**kwargs)
        if weight is not None and not isinstance(weight, (int, float)):
            raise MXNetTypeError(f"{type(self).__name__}: weight must be a number or None, got {weight!r}. Weights of "
                                 "samples are given with each call, as sample_weight.")
        self._weight, self._batch_axis = weight, batch_axis

    def __repr__(self):
        return f"{type(self).__name__}(batch_axis={self._batch_axis}, w={self._weight})"

    def _weighted(self, F, loss, sample_weight):
        """``loss`` times the weights of samples, which broadcast against it, and of the loss."""
        if sample_weight is not None:
            loss = F.broadcast_mul(loss, sample_weight)
        return loss if self._weight is None else loss * self._weight

    def _mean(self, F, loss):
        return F.mean(loss, axis=self._batch_axis, exclude=True)


def _softplus(F, x):
    """log(1 + exp(x)), without overflow."""
    return F.Activation(x, act_type="softrelu")


def _logistic(F, pred, label):
    """Cross entropy of ``sigmoid(pred)`` against labels 0 to 1: log(1 + exp(pred)) - pred * label, without overflow."""
    return F.relu(pred) - pred * label + _softplus(F, -F.abs(pred))


_SAMPLE_PARAMETERS = """

    Parameters
    ----------
    {more}weight : float or None
        Factor on the loss.
    batch_axis : int
        The axis of samples; the loss is averaged over all others.

    Notes
    -----
    Called as ``loss({inputs}, sample_weight=None)``; ``sample_weight`` broadcasts against the loss, such as shape
    (batch, 1). Returns an array of shape (batch,).
    """


def _document(text, more="", inputs="pred, label"):
    return text + _SAMPLE_PARAMETERS.format(more=more, inputs=inputs)


class L2Loss(Loss):
    __doc__ = _document("Half the squared difference: ``weight / 2 * (label - pred)**2``.")

    def __init__(self, weight=1., batch_axis=0, **kwargs):
        super().__init__(weight, batch_axis, **kwargs)

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        loss = F.square(F.reshape_like(label, pred) - pred) / 2
        return self._mean(F, self._weighted(F, loss, sample_weight))


class L1Loss(Loss):
    __doc__ = _document("Absolute difference ``|label - pred|``.")

    def __init__(self, weight=None, batch_axis=0, **kwargs):
        super().__init__(weight, batch_axis, **kwargs)

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        loss = F.abs(F.reshape_like(label, pred) - pred)
        return self._mean(F, self._weighted(F, loss, sample_weight))


class SigmoidBinaryCrossEntropyLoss(Loss):
    __doc__ = _document(
        "Cross entropy of a probability against labels from 0 to 1, value by value.",
        "from_sigmoid : bool\n        Whether ``pred`` is a probability already; by default it is the input of a "
        "sigmoid.\n    ",
        "pred, label, sample_weight=None, pos_weight=None") + """
    ``pos_weight`` is a factor on the loss of positive labels; it broadcasts against ``pred``.
    """

    def __init__(self, from_sigmoid=False, weight=None, batch_axis=0, **kwargs):
        super().__init__(weight, batch_axis, **kwargs)
        self._from_sigmoid = from_sigmoid

    def hybrid_forward(self, F, pred, label, sample_weight=None, pos_weight=None):
        label = F.reshape_like(label, pred)
        if self._from_sigmoid:
            tiny = 1e-12                       # keeps the logarithm finite
            hit = F.log(pred + tiny) * label
            if pos_weight is not None:
                hit = F.broadcast_mul(hit, pos_weight)
            loss = -(hit + F.log(1. - pred + tiny) * (1. - label))
        elif pos_weight is None:
            loss = _logistic(F, pred, label)
        else:
            factor = 1 + F.broadcast_mul(pos_weight - 1, label)
            loss = pred - pred * label + factor * (_softplus(F, -F.abs(pred)) + F.relu(-pred))
        return self._mean(F, self._weighted(F, loss, sample_weight))


class SoftmaxCrossEntropyLoss(Loss):
    __doc__ = _document(
        "Cross entropy of the softmax along ``axis`` against class labels.",
        """axis : int
        The axis of classes.
    sparse_label : bool
        Labels are class numbers; otherwise probabilities of the shape of ``pred``.
    from_logits : bool
        Whether ``pred`` is log probabilities already.
    """)

    def __init__(self, axis=-1, sparse_label=True, from_logits=False, weight=None, batch_axis=0, **kwargs):
        super().__init__(weight, batch_axis, **kwargs)
        self._axis, self._sparse_label, self._from_logits = axis, sparse_label, from_logits

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        if not self._from_logits:
            pred = F.log_softmax(pred, axis=self._axis)
        if self._sparse_label:
            loss = -F.pick(pred, label, axis=self._axis, keepdims=True)
        else:
            loss = -F.sum(pred * F.reshape_like(label, pred), axis=self._axis, keepdims=True)
        return self._mean(F, self._weighted(F, loss, sample_weight))


class KLDivLoss(Loss):
    __doc__ = _document(
        "Kullback-Leibler divergence, the sum (not the mean) of ``label * (log(label) - pred)`` over each sample.",
        """from_logits : bool
        Whether ``pred`` is log probabilities; otherwise log_softmax is applied to it.
    axis : int
        The axis of classes, for that log_softmax.
    """)

    def __init__(self, from_logits=True, axis=-1, weight=None, batch_axis=0, **kwargs):
        super().__init__(weight, batch_axis, **kwargs)
        self._from_logits, self._axis = from_logits, axis

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        if not self._from_logits:
            pred = F.log_softmax(pred, axis=self._axis)
        loss = label * (F.log(label + 1e-12) - pred)
        return F.sum(self._weighted(F, loss, sample_weight), axis=self._batch_axis, exclude=True)


class CTCLoss(Loss):
    """Connectionist temporal classification [1]_ of sequences against shorter label sequences.

    Parameters
    ----------
    layout : {'NTC', 'TNC'}
        Axes of the predictions: batch, time, classes (the last class is blank).
    label_layout : {'NT', 'TN'}
        Axes of the labels; padding is -1.
    weight : float or None
        Factor on the loss.

    References
    ----------
    .. [1] Graves, Fernandez, Gomez, Schmidhuber, "Connectionist temporal classification", ICML 2006.
    """

    def __init__(self, layout="NTC", label_layout="NT", weight=None, **kwargs):
        if layout not in ("NTC", "TNC"):
            raise MXNetValueError(f"CTCLoss: layout must be 'NTC' or 'TNC', got {layout!r}")
        if label_layout not in ("NT", "TN"):
            raise MXNetValueError(f"CTCLoss: label_layout must be 'NT' or 'TN', got {label_layout!r}")
        self._layout, self._label_layout = layout, label_layout
        super().__init__(weight, label_layout.find("N"), **kwargs)

    def hybrid_forward(self, F, pred, label, pred_lengths=None, label_lengths=None, sample_weight=None):
        if self._layout == "NTC":
            pred = F.swapaxes(pred, dim1=0, dim2=1)
        if self._batch_axis == 1:
            label = F.swapaxes(label, dim1=0, dim2=1)
        lengths = {key: value for key, value in (("data_lengths", pred_lengths), ("label_lengths", label_lengths))
                   if value is not None}
        loss = F.CTCLoss(pred, label, use_data_lengths=pred_lengths is not None,
                         use_label_lengths=label_lengths is not None, blank_label="last", **lengths)
        return self._weighted(F, loss, sample_weight)


class HuberLoss(Loss):
    __doc__ = _document(
        "Squared difference near 0, absolute difference beyond ``rho``.",
        "rho : float\n        Where the square turns into a line.\n    ")

    def __init__(self, rho=1, weight=None, batch_axis=0, **kwargs):
        super().__init__(weight, batch_axis, **kwargs)
        self._rho = rho

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        away = F.abs(F.reshape_like(label, pred) - pred)
        loss = F.where(away > self._rho, away - 0.5 * self._rho, (0.5 / self._rho) * F.square(away))
        return self._mean(F, self._weighted(F, loss, sample_weight))


_MARGIN = "margin : float\n    "


class HingeLoss(Loss):
    __doc__ = _document("``max(0, margin - pred * label)`` for labels -1 and 1.", _MARGIN)

    def __init__(self, margin=1, weight=None, batch_axis=0, **kwargs):
        super().__init__(weight, batch_axis, **kwargs)
        self._margin = margin

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        loss = F.relu(self._margin - pred * F.reshape_like(label, pred))
        return self._mean(F, self._weighted(F, loss, sample_weight))


class SquaredHingeLoss(Loss):
    __doc__ = _document("``max(0, margin - pred * label)**2`` for labels -1 and 1.", _MARGIN)

    def __init__(self, margin=1, weight=None, batch_axis=0, **kwargs):
        super().__init__(weight, batch_axis, **kwargs)
        self._margin = margin

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        loss = F.square(F.relu(self._margin - pred * F.reshape_like(label, pred)))
        return self._mean(F, self._weighted(F, loss, sample_weight))


class LogisticLoss(Loss):
    __doc__ = _document(
        "``log(1 + exp(-pred * label))`` for labels -1 and 1, or 0 and 1.",
        "label_format : {'signed', 'binary'}\n        Whether labels are -1 and 1, or 0 and 1.\n    ")

    def __init__(self, weight=None, batch_axis=0, label_format="signed", **kwargs):
        super().__init__(weight, batch_axis, **kwargs)
        if label_format not in ("signed", "binary"):
            raise MXNetValueError(f"LogisticLoss: label_format must be 'signed' or 'binary', got {label_format!r}")
        self._label_format = label_format

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        label = F.reshape_like(label, pred)
        if self._label_format == "signed":
            label = (label + 1.) / 2.
        return self._mean(F, self._weighted(F, _logistic(F, pred, label), sample_weight))


class TripletLoss(Loss):
    """``max(0, |positive - pred|**2 - |negative - pred|**2 + margin)``: closer to one sample than to another.

    Parameters
    ----------
    margin : float
    weight : float or None
        Factor on the loss.
    batch_axis : int
        The axis of samples; squares are summed over all others.

    Notes
    -----
    Called as ``loss(pred, positive, negative)``.
    """

    def __init__(self, margin=1, weight=None, batch_axis=0, **kwargs):
        super().__init__(weight, batch_axis, **kwargs)
        self._margin = margin

    def hybrid_forward(self, F, pred, positive, negative, sample_weight=None):
        positive, negative = F.reshape_like(positive, pred), F.reshape_like(negative, pred)
        loss = F.sum(F.square(positive - pred) - F.square(negative - pred), axis=self._batch_axis, exclude=True)
        return self._weighted(F, F.relu(loss + self._margin), sample_weight)


class PoissonNLLLoss(Loss):
    """Negative log likelihood of counts ``target`` under a Poisson distribution; one number, the mean over everything.

    Parameters
    ----------
    weight : float or None
        Factor on the loss.
    from_logits : bool
        Whether ``pred`` is the logarithm of the rate.
    batch_axis : int
        Has no influence.
    compute_full : bool
        Add Stirling's approximation of ``log(target!)`` for targets above 1.

    Notes
    -----
    Called as ``loss(pred, target, sample_weight=None, epsilon=1e-8)``; ``epsilon`` keeps the logarithm finite.
    """

    def __init__(self, weight=None, from_logits=True, batch_axis=0, compute_full=False, **kwargs):
        super().__init__(weight, batch_axis, **kwargs)
        self._from_logits, self._compute_full = from_logits, compute_full

    def hybrid_forward(self, F, pred, target, sample_weight=None, epsilon=1e-08):
        target = F.reshape_like(target, pred)
        loss = F.exp(pred) - target * pred if self._from_logits else pred - target * F.log(pred + epsilon)
        if self._compute_full:
            stirling = target * F.log(target) - target + 0.5 * F.log(2 * target * pi)
            loss = loss + F.where(target > 1, stirling, F.zeros_like(target))
        return F.mean(self._weighted(F, loss, sample_weight))


class CosineEmbeddingLoss(Loss):
    """``1 - cos(input1, input2)`` where the label is 1, ``max(0, cos - margin)`` where it is -1.

    Parameters
    ----------
    weight : float or None
        Factor on the loss.
    batch_axis : int
        The axis of samples.
    margin : float
        From -1 to 1.

    Notes
    -----
    Called as ``loss(input1, input2, label, sample_weight=None)``; vectors lie along the last axis. Returns an array of
    shape (batch, 1).
    """

    def __init__(self, weight=None, batch_axis=0, margin=0, **kwargs):
        super().__init__(weight, batch_axis, **kwargs)
        self._margin = margin

    def hybrid_forward(self, F, input1, input2, label, sample_weight=None):
        input1 = F.reshape_like(input1, input2)
        cosine = self._cosine(F, input1, input2)
        label = F.reshape_like(label, cosine)
        loss = F.where(label == 1, 1 - cosine, F.clip(cosine - self._margin, a_min=0, a_max=1 - self._margin))
        return self._weighted(F, loss, sample_weight)

    @staticmethod
    def _cosine(F, x, y):
        dot = F.sum(x * y, axis=-1, keepdims=True)
        norms = F.norm(x, axis=-1, keepdims=True) * F.norm(y, axis=-1, keepdims=True)
        return dot / F.maximum(norms, 1e-12)


class SDMLLoss(Loss):
    """Smoothed deep metric learning [1]_: the pairs ``x1[i], x2[i]`` belong together, all others are negatives.

    Parameters
    ----------
    smoothing_parameter : float
        Probability mass that the target gives to the other pairs.
    weight : float
        Factor on the loss.
    batch_axis : int
        The axis of samples.

    References
    ----------
    .. [1] Bonadiman, Kumar, Mittal, "Large scale question paraphrase retrieval with smoothed deep metric learning",
       W-NUT 2019.
    """

    def __init__(self, smoothing_parameter=0.3, weight=1., batch_axis=0, **kwargs):
        super().__init__(weight, batch_axis, **kwargs)
        self.smoothing_parameter = smoothing_parameter
        self.kl_loss = KLDivLoss(from_logits=True)

    def hybrid_forward(self, F, x1, x2):
        pairs = F.broadcast_sub(F.expand_dims(x1, axis=1), F.expand_dims(x2, axis=0))
        distances = F.sum(F.square(pairs), axis=2)
        # the rows of one-hot targets, smoothed: 1 - s on the diagonal, s / (batch - 1) elsewhere
        number = F.cumsum(F.ones_like(F.slice_axis(distances, axis=1, begin=0, end=1)), axis=0)
        same = F.broadcast_equal(number, F.reshape(number, shape=(1, -1)))
        others = F.broadcast_div(1 - same, F.sum(1 - same, axis=1, keepdims=True))
        labels = (1 - self.smoothing_parameter) * same + self.smoothing_parameter * others
        return self.kl_loss(F.log_softmax(-distances, axis=1), labels)


SigmoidBCELoss = SigmoidBinaryCrossEntropyLoss
SoftmaxCELoss = SoftmaxCrossEntropyLoss
