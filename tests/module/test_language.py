"""A bucketed LSTM learns a text, letter by letter: better than the frequencies of pairs of letters."""
import logging
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import mxcy as mx
from mxcy import sym

TEXT = Path(__file__).parents[3] / "shared/data/text/timemachine.txt"
PADDING, BEGIN, END = 0, 1, 2
HIDDEN = 128


def sentences():
    """The lines of the text as lists of numbers, and how many numbers there are."""
    text = TEXT.read_text(encoding="latin1").lower()
    letters = ("".join(c if "a" <= c <= "z" else " " for c in line) for line in text.splitlines())
    lines = [" ".join(line.split()) for line in letters]
    number = {c: i for i, c in enumerate(" abcdefghijklmnopqrstuvwxyz", 3)}
    return [[BEGIN, *map(number.get, line), END] for line in lines if line], len(number) + 3


def bigram_perplexity(train, test, size):
    """Of the model that knows how often each letter followed each other one in ``train``, plus one."""
    pairs, firsts = Counter(), Counter()
    for line in train:
        pairs.update(zip(line, line[1:]))
        firsts.update(line[:-1])
    seen = [pair for line in test for pair in zip(line, line[1:])]
    possible = size - 2                                     # neither padding nor the beginning follows anything
    return math.exp(-sum(math.log((pairs[pair] + 1) / (firsts[pair[0]] + possible)) for pair in seen) / len(seen))


def unrolled(size):
    def sym_gen(length):
        letters = sym.Embedding(sym.var("data"), input_dim=size, output_dim=32, name="embed")
        outputs, _ = mx.rnn.LSTMCell(HIDDEN, prefix="lstm_").unroll(length, inputs=letters, merge_outputs=True)
        scores = sym.FullyConnected(sym.reshape(outputs, shape=(-1, HIDDEN)), num_hidden=size, name="scores")
        label = sym.reshape(sym.var("softmax_label"), shape=(-1,))
        loss = sym.SoftmaxOutput(scores, label, use_ignore=True, ignore_label=PADDING, name="softmax")
        return loss, ("data",), ("softmax_label",)
    return sym_gen


@pytest.mark.slow
@pytest.mark.skipif(not TEXT.is_file(), reason="needs ../shared/data/text")
def test_lstm_learns_a_text():
    mx.random.seed(1)
    np.random.seed(1)
    lines, size = sentences()
    test = lines[::10]
    train = [line for i, line in enumerate(lines) if i % 10]
    bound = bigram_perplexity(train, test, size)
    batches, unseen = (mx.rnn.BucketSentenceIter(part, 32, buckets=[20, 40, 60, 75], invalid_label=PADDING)
                       for part in (train, test))
    module = mx.mod.BucketingModule(unrolled(size), default_bucket_key=batches.default_bucket_key)
    module.fit(batches, eval_metric=mx.metric.Perplexity(PADDING), num_epoch=3, optimizer="adam",
               optimizer_params={"learning_rate": .005, "rescale_grad": 1 / 32, "clip_gradient": 5.},
               initializer=mx.init.Xavier())
    reached = module.score(unseen, mx.metric.Perplexity(PADDING))[0][1]
    logging.getLogger(__name__).info("perplexity %.2f, of the bigram model %.2f", reached, bound)
    assert reached < .9 * bound
