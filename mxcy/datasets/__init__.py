"""Small real data that ships with the package, so that examples and tests run offline."""
from importlib import resources

import numpy as np

__all__ = ["digits"]

EVERY = 7                   # each seventh image is for testing, so that all of the 13 writers are in both parts


def digits(size=28):
    """Handwritten digits by 13 people, in the form that `mxcy.test_utils.get_mnist` returns.

    Parameters
    ----------
    size : int
        Height and width of the images: 8, as they are stored, or 28, enlarged and with a margin as in MNIST.

    Returns
    -------
    dict of numpy.ndarray
        ``train_data`` (1541, 1, size, size) and ``test_data`` (256, 1, size, size), float32 in [0, 1];
        ``train_label`` (1541,) and ``test_label`` (256,), float32, 0 to 9.

    Raises
    ------
    ValueError
        If ``size`` is neither 8 nor 28.

    References
    ----------
    .. [1] E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
       https://doi.org/10.24432/C50P49, licence CC BY 4.0.

    Examples
    --------
    >>> digits(size=8)["train_data"].shape
    (1541, 1, 8, 8)
    """
    if size not in (8, 28):
        raise ValueError(f"digits: size is {size!r}; expected 8 (as stored) or 28 (as MNIST)")
    with resources.as_file(resources.files(__package__) / "digits.npz") as path, np.load(path) as file:
        images, labels = file["images"].astype("float32") / 16, file["labels"].astype("float32")
    if size == 28:
        images = enlarge(images)
    images, test = images[:, None], np.arange(len(images)) % EVERY == EVERY - 1
    return {"train_data": images[~test], "train_label": labels[~test],
            "test_data": images[test], "test_label": labels[test]}


def enlarge(images):
    """Images (N, 8, 8) as (N, 28, 28): drawn into the middle 20 x 20 by linear interpolation."""
    centre = (np.arange(20, dtype="float32") + 0.5) * 0.4 - 0.5         # of each new pixel, in old pixels
    weight = np.maximum(0, 1 - abs(centre[:, None] - np.arange(8, dtype="float32")))
    return np.pad(weight @ images @ weight.T, ((0, 0), (4, 4), (4, 4)))
