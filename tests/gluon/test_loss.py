"""Losses against their formulas; which axes MXNet 1.9.1 averages or sums was found by calling it."""
import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, gluon, nd

rng = np.random.RandomState(0)
PRED, PROB = rng.randn(4, 5, 3), rng.uniform(.1, .9, (4, 5, 3))
SIGN, CLASS = np.sign(rng.randn(4, 5, 3)), rng.randint(0, 3, (4, 5))
WEIGHT = rng.uniform(0, 1, (4, 1, 1))
COUNT = rng.randint(1, 6, (4, 5, 3))


def log_softmax(x, axis=-1):
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


def mean(x):
    return x.reshape(len(x), -1).mean(1)


def softplus(x):
    return np.log1p(np.exp(x))


def picked(x, label):
    return np.take_along_axis(x, label[..., None], -1)


def cosine(x, y):
    return (x * y).sum(-1) / np.linalg.norm(x, axis=-1) / np.linalg.norm(y, axis=-1)


#: A loss, its inputs, and its value.
CASES = {
    "L2": (lambda L: L.L2Loss(weight=3.), (PRED, PROB, WEIGHT), lambda: mean(1.5 * (PRED - PROB) ** 2 * WEIGHT)),
    "L1": (lambda L: L.L1Loss(), (PRED, PROB), lambda: mean(abs(PRED - PROB))),
    "L1 by column": (lambda L: L.L1Loss(batch_axis=1), (PRED, PROB), lambda: abs(PRED - PROB).mean((0, 2))),
    "sigmoid": (lambda L: L.SigmoidBCELoss(), (PRED, PROB, WEIGHT),
                lambda: mean((softplus(PRED) - PRED * PROB) * WEIGHT)),
    "sigmoid, weighted": (lambda L: L.SigmoidBCELoss(), (PRED, PROB, WEIGHT, 2 * PROB), lambda: mean(
        (PROB * 2 * PROB * softplus(-PRED) + (1 - PROB) * softplus(PRED)) * WEIGHT)),
    "from sigmoid": (lambda L: L.SigmoidBCELoss(from_sigmoid=True), (PROB, PROB[::-1]), lambda: mean(
        -PROB[::-1] * np.log(PROB) - (1 - PROB[::-1]) * np.log(1 - PROB))),
    "softmax": (lambda L: L.SoftmaxCELoss(), (PRED, CLASS), lambda: mean(-picked(log_softmax(PRED), CLASS))),
    "softmax, dense": (lambda L: L.SoftmaxCELoss(sparse_label=False, from_logits=True, axis=1), (PRED, PROB),
                       lambda: mean(-(PRED * PROB).sum(1))),
    "KL": (lambda L: L.KLDivLoss(), (PRED, PROB), lambda: (PROB * (np.log(PROB) - PRED)).sum((1, 2))),
    "KL, logits": (lambda L: L.KLDivLoss(from_logits=False, axis=1), (PRED, PROB),
                   lambda: (PROB * (np.log(PROB) - log_softmax(PRED, 1))).sum((1, 2))),
    "Huber": (lambda L: L.HuberLoss(rho=.5), (PRED, PROB), lambda: mean(np.where(
        abs(PRED - PROB) > .5, abs(PRED - PROB) - .25, (PRED - PROB) ** 2))),
    "hinge": (lambda L: L.HingeLoss(), (PRED, SIGN), lambda: mean(np.maximum(0, 1 - PRED * SIGN))),
    "squared hinge": (lambda L: L.SquaredHingeLoss(margin=2), (PRED, SIGN),
                      lambda: mean(np.maximum(0, 2 - PRED * SIGN) ** 2)),
    "logistic": (lambda L: L.LogisticLoss(), (PRED, SIGN), lambda: mean(softplus(-PRED * SIGN))),
    "logistic, binary": (lambda L: L.LogisticLoss(label_format="binary"), (PRED, SIGN > 0),
                         lambda: mean(softplus(-PRED * SIGN))),
    "triplet": (lambda L: L.TripletLoss(weight=2.), (PRED, PROB, SIGN), lambda: 2 * np.maximum(
        0, ((PROB - PRED) ** 2 - (SIGN - PRED) ** 2).sum((1, 2)) + 1)),
    "Poisson": (lambda L: L.PoissonNLLLoss(), (PRED, COUNT), lambda: np.array([(np.exp(PRED) - COUNT * PRED).mean()])),
    "Poisson, full": (lambda L: L.PoissonNLLLoss(from_logits=False, compute_full=True), (PROB, COUNT),
                      lambda: np.array([np.mean(PROB - COUNT * np.log(PROB) + (COUNT > 1) * (
                          COUNT * np.log(COUNT) - COUNT + .5 * np.log(2 * np.pi * COUNT)))])),
    "cosine": (lambda L: L.CosineEmbeddingLoss(margin=.2), (PRED[:, 0], PROB[:, 0], SIGN[:, 0, 0]), lambda: np.where(
        SIGN[:, 0, 0] == 1, 1 - cosine(PRED[:, 0], PROB[:, 0]),
        np.maximum(0, cosine(PRED[:, 0], PROB[:, 0]) - .2))[:, None]),
}


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_value_and_gradient(case, hybrid):
    make, inputs, expected = case
    loss = make(gluon.loss)
    loss.hybridize(hybrid)
    arrays = [nd.array(x, dtype="float64") for x in inputs]
    np.testing.assert_allclose(loss(*arrays).asnumpy(), expected(), rtol=1e-6, atol=1e-9)
    mx.test_utils.check_numeric_gradient(lambda pred: loss(pred, *arrays[1:]), arrays[:1], dtype=np.float64, rtol=1e-4,
                                         atol=1e-6)


@pytest.mark.parametrize("hybrid", [False, True])
def test_sdml(hybrid):
    x, y = PRED[:, 0], PROB[:, 0]
    loss = gluon.loss.SDMLLoss(smoothing_parameter=.3)
    loss.hybridize(hybrid)
    loss = loss(nd.array(x), nd.array(y)).asnumpy()
    log_p = log_softmax(-((x[:, None] - y[None]) ** 2).sum(2))
    target = np.where(np.eye(4), .7, .1)
    np.testing.assert_allclose(loss, (target * (np.log(target) - log_p)).sum(1), rtol=1e-5)


def test_large_inputs_do_not_overflow():
    x = nd.array([[1000., -1000.]])
    for loss in (gluon.loss.SigmoidBCELoss(), gluon.loss.LogisticLoss(label_format="binary")):
        assert loss(x, nd.array([[1., 0.]])).asnumpy().tolist() == [0]


def test_bad_arguments():
    for make in (lambda: gluon.loss.L2Loss(weight="a"), lambda: gluon.loss.CTCLoss(layout="NCT"),
                 lambda: gluon.loss.CTCLoss(label_layout="N"), lambda: gluon.loss.LogisticLoss(label_format="x")):
        with pytest.raises((ValueError, TypeError)):
            make()


def test_losses_train(seed=1):
    """A softmax classifier fits three points."""
    mx.random.seed(seed)
    net = gluon.nn.Dense(3)
    net.initialize()
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 1.})
    loss, x, y = gluon.loss.SoftmaxCrossEntropyLoss(), nd.array(np.eye(3)), nd.array([0, 1, 2])
    for _ in range(50):
        with autograd.record():
            error = loss(net(x), y)
        error.backward()
        trainer.step(3)
    assert error.mean().asscalar() < .2
