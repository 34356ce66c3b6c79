"""Sentences as numbers, and in batches by length."""
import pytest

import mxcy as mx


def test_encoding():
    numbers, vocab = mx.rnn.encode_sentences([["a", "b"], ["c", "a", "d"]], invalid_label=0, start_label=0)
    assert numbers == [[1, 2], [3, 1, 4]]
    assert vocab == {"\n": 0, "a": 1, "b": 2, "c": 3, "d": 4}
    assert mx.rnn.encode_sentences([["b", "z"]], vocab=vocab, unknown_token="d")[0] == [[2, 4]]
    with pytest.raises(ValueError, match="'z' is not in the vocabulary"):
        mx.rnn.encode_sentences([["z"]], vocab=vocab)


@pytest.mark.parametrize("layout", ["NT", "TN"])
def test_batches(layout, caplog):
    sentences = [[1, 2, 3], [4, 5], [6, 7, 8], [1] * 5, [2] * 9, [3, 3]]
    batches = mx.rnn.BucketSentenceIter(sentences, 2, buckets=[5, 3], invalid_label=0, layout=layout)
    assert "1 sentences are longer" in caplog.text
    assert batches.default_bucket_key == 5
    for _ in range(2):
        seen = []
        for batch in batches:
            data, label = (x[0].asnumpy() for x in (batch.data, batch.label))
            assert batch.provide_data[0].shape == data.shape and batch.bucket_key == 3
            if layout == "TN":
                data, label = data.T, label.T
            assert data.shape == (2, 3)
            assert (label[:, :-1] == data[:, 1:]).all() and not label[:, -1].any()
            seen += data.tolist()
        assert sorted(seen) == [[1, 2, 3], [3, 3, 0], [4, 5, 0], [6, 7, 8]]
        batches.reset()


def test_buckets_by_count():
    assert mx.rnn.BucketSentenceIter([[1], [2], [1, 2, 3]], 2).buckets == [1]
    with pytest.raises(ValueError, match="give buckets"):
        mx.rnn.BucketSentenceIter([[1]], 2)


def test_a_bucketed_lstm_learns_to_count():
    mx.random.seed(0)
    sentences = [[(i + j) % 7 + 1 for j in range(length)] for length in (4, 6) for i in range(7)] * 4
    batches = mx.rnn.BucketSentenceIter(sentences, 8, invalid_label=0)
    cell = mx.rnn.FusedRNNCell(24, prefix="lstm_")

    def generate(length):
        data, label = mx.sym.var("data"), mx.sym.var("softmax_label")
        embedded = mx.sym.Embedding(data, input_dim=8, output_dim=12, name="embed")
        outputs, _ = cell.unroll(length, embedded, layout="NTC")
        scores = mx.sym.FullyConnected(mx.sym.reshape(outputs, shape=(-1, 24)), num_hidden=8, name="scores")
        out = mx.sym.SoftmaxOutput(scores, mx.sym.reshape(label, shape=(-1,)), use_ignore=True, ignore_label=0,
                                   normalization="valid", name="softmax")
        return out, ("data",), ("softmax_label",)
    module = mx.mod.BucketingModule(generate, batches.default_bucket_key)
    metric = mx.metric.Perplexity(0)
    module.fit(batches, eval_metric=metric, num_epoch=12, optimizer="adam", optimizer_params={"learning_rate": .03},
               initializer=mx.init.Xavier())
    assert dict(metric.get_name_value())["perplexity"] < 1.3
