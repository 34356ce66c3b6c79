"""Metrics: values by hand or by MXNet 1.9.1, local and global sums, several metrics as one."""
import math

import numpy as np
import pytest

import mxcy as mx
from mxcy import metric, nd

rng = np.random.RandomState(0)
#: Three batches of 6 samples: labels of 3 classes, and their predicted probabilities.
THREE = [(p / p.sum(1, keepdims=True), y) for p, y in ((rng.rand(6, 3).astype("f"), rng.randint(0, 3, 6))
                                                       for _ in range(3))]
TWO = [(p[:, :2] / p[:, :2].sum(1, keepdims=True), y % 2) for p, y in THREE]
NUMBERS = [(rng.rand(6, 2).astype("f"), rng.rand(6, 2).astype("f")) for _ in range(3)]

#: A metric, its batches, and its values by MXNet after one, two and three of them, with a local reset before the third.
CASES = [
    (metric.Accuracy(), THREE, (1 / 3, 5 / 12, 1 / 2), 4 / 9),
    (metric.TopKAccuracy(2), THREE, (2 / 3, 7 / 12, 1), 13 / 18),
    (metric.F1(), TWO, (1 / 3, 1 / 2, 6 / 7), 0.6190476190476191),
    (metric.F1(average="micro"), TWO, (1 / 3, 1 / 2, 6 / 7), 0.631578947368421),
    (metric.MCC(), TWO, (-.25, .125, .7071067811865476), .3190355937288492),
    (metric.MCC(average="micro"), TWO, (-.25, 0, .7071067811865476), .22360679774997896),
    (metric.PCC(), THREE, (0, .09784921095801634, .30151134457776363), .14940357616679922),
    (metric.PCC(), TWO, (-.25, 0, .7071067811865476), .22360679774997896),
    (metric.Perplexity(None), THREE, (4.436593799090044, 3.5712630793410485, 2.672559844889369), 3.242328712760266),
    (metric.Perplexity(1), THREE, (3.138573227618881, 3.191255641329548, 2.6285933191939157), 3.040199243394283),
    (metric.CrossEntropy(), THREE, (1.4898869196573894, 1.2729193369547527, .9830368359883627), 1.1762918366326227),
    (metric.NegativeLogLikelihood(), THREE, (1.4898869196573894, 1.2729193369547527, .9830368359883627),
     1.1762918366326227),
    (metric.MAE(), NUMBERS, (.34507814049720764, .33465972542762756, .26639875769615173), .3119060695171356),
    (metric.MSE(), NUMBERS, (.19405530393123627, .18980860710144043, .10400990396738052), .16120903939008713),
    (metric.RMSE(), NUMBERS, (.4405170977115631, .4356430321931839, .3225056529045105), .3979305724302928),
    (metric.PearsonCorrelation(), NUMBERS, (-.07120705717733553, -.05787430363276417, .04034567164113597),
     -.02513431187479746),
    (metric.PearsonCorrelation(average="micro"), NUMBERS,
     (-.07120705717733553, -.07488246962412201, .04034567164113597),
     -.06159887100563406),
    (metric.Loss(), NUMBERS, (.46128809452056885, .44361935059229535, .6091035604476929), .4987807538774278),
]


@pytest.mark.parametrize("evaluate, batches, local, overall", CASES, ids=lambda value: getattr(value, "name", None))
def test_values(evaluate, batches, local, overall):
    evaluate.reset()
    assert math.isnan(evaluate.get()[1])
    for i, (pred, label) in enumerate(batches):
        if i == 2:
            evaluate.reset_local()
        evaluate.update([nd.array(label)], [nd.array(pred)])
        assert math.isclose(evaluate.get()[1], local[i], rel_tol=1e-5, abs_tol=1e-7)
    assert math.isclose(evaluate.get_global()[1], overall, rel_tol=1e-5)
    evaluate.reset()
    assert math.isnan(evaluate.get_global()[1])


def test_accuracy_of_classes():
    evaluate = metric.Accuracy()
    evaluate.update(nd.array([1, 0]), nd.array([1, 1]))
    assert evaluate.get() == ("accuracy", .5) and str(evaluate) == "EvalMetric: {'accuracy': 0.5}"


def test_accuracy_along_an_axis():
    evaluate = metric.Accuracy(axis=2)
    evaluate.update([nd.array([[0, 1]])], [nd.array([[[.9, .1], [.9, .1]]])])
    assert evaluate.get()[1] == .5


def test_create():
    assert isinstance(metric.create("acc"), metric.Accuracy)
    assert metric.create("top_k_acc", top_k=3).name == "top_k_accuracy_3"
    assert metric.create(lambda label, pred: 1.).name == "custom(<lambda>)"
    assert metric.create(metric.create("mse").get_config()).name == "mse"
    with pytest.raises(ValueError, match="Did you mean 'acc'"):
        metric.create("accc")
    with pytest.raises(TypeError):
        metric.create(3)


def test_composite():
    both = metric.create(["acc", metric.CrossEntropy()])
    both.update([nd.array([1, 0])], [nd.array([[.1, .9], [.8, .2]])])
    names, values = both.get()
    assert names == ["accuracy", "cross-entropy"] and values[0] == 1
    assert both.get_name_value()[0] == both.get_global_name_value()[0] == ("accuracy", 1.)
    both.add("mae")
    assert isinstance(both.get_metric(2), metric.MAE) and len(both.get_config()["metrics"]) == 3
    both.reset()
    assert math.isnan(both.get()[1][0])
    with pytest.raises(ValueError):
        both.get_metric(5)


def test_update_by_name():
    evaluate = metric.Accuracy(output_names=["out"], label_names=["y"])
    evaluate.update_dict({"y": nd.array([1]), "z": nd.array([5])}, {"aux": nd.array([3]), "out": nd.array([[.1, .9]])})
    assert evaluate.get()[1] == 1


def test_custom():
    summed = metric.CustomMetric(lambda label, pred: float(abs(label - pred).sum()), name="error")
    summed.update([nd.array([1, 2])], [nd.array([1, 1])])
    assert summed.get() == ("error", 1)
    with pytest.raises(NotImplementedError):
        summed.get_config()

    def pair(label, pred):
        return 3., 2

    evaluate = metric.np(pair)
    evaluate.update([nd.array([1])], [nd.array([1])])
    assert evaluate.get() == ("pair", 1.5)
    loose = metric.np(pair, allow_extra_outputs=True)
    loose.update([nd.array([1])], [nd.array([1]), nd.array([1])])
    with pytest.raises(ValueError):
        evaluate.update([nd.array([1])], [nd.array([1]), nd.array([1])])


@pytest.mark.parametrize("evaluate, label, pred", [
    (metric.Accuracy(), [1, 2], [[.1, .9]]), (metric.TopKAccuracy(2), [1, 2], [[.1, .9, 0]]),
    (metric.F1(), [0, 2], [[.1, .9]] * 2),
    (metric.MCC(), [0, 1], [[.1, .2, .7]] * 2), (metric.CrossEntropy(), [1, 2], [[.1, .9]]),
    (metric.Perplexity(None), [1, 2], [[.1, .9]]),
    (metric.PearsonCorrelation(), [1., 2.], [1.]), (metric.PCC(), [1, 2], [[.1, .9]])],
    ids=lambda value: getattr(value, "name", None))
def test_shapes_that_do_not_fit(evaluate, label, pred):
    with pytest.raises(mx.MXNetError):
        evaluate.update([nd.array(label)], [nd.array(pred)])
    with pytest.raises(mx.MXNetError):
        evaluate.update([nd.array(label)], [])


def test_bad_arguments():
    for make in (lambda: metric.TopKAccuracy(1), lambda: metric.F1(average="x"),
                 lambda: metric.PearsonCorrelation(average="x")):
        with pytest.raises(ValueError):
            make()
