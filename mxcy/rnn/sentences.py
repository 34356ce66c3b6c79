"""Sentences as numbers, in batches of about the same length."""
import logging
import random
from bisect import bisect_left

import numpy as np

from mxcy import nd
from mxcy.base import MXNetValueError
from mxcy.io import DataBatch, DataDesc, DataIter

__all__ = ["BucketSentenceIter", "encode_sentences"]


def encode_sentences(sentences, vocab=None, invalid_label=-1, invalid_key="\n", start_label=0, unknown_token=None):
    """Words as numbers.

    Parameters
    ----------
    sentences : list of list of str
    vocab : dict of str to int, optional
        The numbers; by default every new word gets the next one.
    invalid_label : int
        The number of no word, for padding.
    invalid_key : str
        What stands for it in a new vocabulary.
    start_label : int
        The lowest number in a new vocabulary.
    unknown_token : str, optional
        What stands for words that a given ``vocab`` lacks.

    Returns
    -------
    list of list of int
    dict of str to int
    """
    is_new = vocab is None
    vocab = {invalid_key: invalid_label} if is_new else vocab
    following, result = start_label, []
    for sentence in sentences:
        numbers = []
        for word in sentence:
            if word not in vocab:
                if not (is_new or unknown_token):
                    raise MXNetValueError(f"encode_sentences: {word!r} is not in the vocabulary; give unknown_token")
                word = word if is_new else unknown_token
            if word not in vocab:
                following += following == invalid_label
                vocab[word] = following
                following += 1
            numbers.append(vocab[word])
        result.append(numbers)
    return result, vocab


class BucketSentenceIter(DataIter):
    """Batches of sentences of about one length, for `mx.mod.BucketingModule`; labels are the words one step on.

    Parameters
    ----------
    sentences : list of list of int
        See `encode_sentences`.
    batch_size : int
    buckets : list of int, optional
        Lengths that sentences are filled up to; by default those of at least ``batch_size`` sentences.
    invalid_label : int
        What they are filled up with.
    data_name, label_name : str
    dtype : str or numpy.dtype
    layout : {'NT', 'TN'}
        Whether batches are (batch, steps) or (steps, batch).
    """

    def __init__(self, sentences, batch_size, buckets=None, invalid_label=-1, data_name="data",
                 label_name="softmax_label", dtype="float32", layout="NT"):
        super().__init__(batch_size)
        if layout not in ("NT", "TN"):
            raise MXNetValueError(f"BucketSentenceIter: layout is {layout!r}; expected 'NT' or 'TN'")
        if not buckets:
            buckets = [length for length, count in enumerate(np.bincount([len(s) for s in sentences]))
                       if count >= batch_size]
        if not buckets:
            raise MXNetValueError(f"BucketSentenceIter: no length has {batch_size} sentences, a batch; give buckets")
        self.buckets = sorted(buckets)
        rows, discarded = [[] for _ in self.buckets], 0
        for sentence in sentences:
            at = bisect_left(self.buckets, len(sentence))
            if at == len(self.buckets):
                discarded += 1
                continue
            row = np.full(self.buckets[at], invalid_label, dtype)
            row[:len(sentence)] = sentence
            rows[at].append(row)
        if discarded:
            logging.warning("BucketSentenceIter: %d sentences are longer than the largest bucket, %d, and left out",
                            discarded, self.buckets[-1])
        self.data = [np.array(r, dtype).reshape(-1, length) for r, length in zip(rows, self.buckets)]
        self.batch_size, self.invalid_label, self.dtype, self.layout = batch_size, invalid_label, dtype, layout
        self.data_name, self.label_name, self.major_axis = data_name, label_name, layout.find("N")
        self.default_bucket_key = self.buckets[-1]
        self.provide_data, self.provide_label = self._describe(self.default_bucket_key)
        self.idx = [(i, j) for i, bucket in enumerate(self.data)
                    for j in range(0, len(bucket) - batch_size + 1, batch_size)]
        self.reset()

    def _describe(self, length):
        shape = (self.batch_size, length) if self.major_axis == 0 else (length, self.batch_size)
        return [[DataDesc(name, shape, self.dtype, layout=self.layout)] for name in (self.data_name, self.label_name)]

    def reset(self):
        """Begin again, with the sentences in another order."""
        self.curr_idx = 0
        random.shuffle(self.idx)
        for bucket in self.data:
            np.random.shuffle(bucket)

    def next(self):
        """The next batch; ``bucket_key`` is its length."""
        if self.curr_idx == len(self.idx):
            raise StopIteration
        i, j = self.idx[self.curr_idx]
        self.curr_idx += 1
        data = self.data[i][j:j + self.batch_size]
        label = np.full_like(data, self.invalid_label)
        label[:, :-1] = data[:, 1:]
        if self.major_axis == 1:
            data, label = data.T, label.T
        provide_data, provide_label = self._describe(self.buckets[i])
        return DataBatch([nd.array(data, dtype=self.dtype)], [nd.array(label, dtype=self.dtype)], pad=0,
                         bucket_key=self.buckets[i], provide_data=provide_data, provide_label=provide_label)
