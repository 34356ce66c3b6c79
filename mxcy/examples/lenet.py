"""Train LeNet on handwritten digits: ``python -m mxcy.examples.lenet``.

The digits are MNIST's if its four files are found or can be downloaded, else the small set that ships with mxcy. Prints
the accuracy on digits that the network has not seen after every epoch, and saves a picture of what it made of them.
"""
import argparse
import math
import sys
import time

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

import mxcy as mx
from mxcy import autograd, gluon
from mxcy.gluon import nn


def lenet():
    """LeNet as LeCun et al. drew it in 1998, with ReLU and maximum pooling, as is usual today."""
    net = nn.Sequential()
    net.add(
        nn.Conv2D(20, kernel_size=5, activation="relu"),        # (N, 1, 28, 28) -> (N, 20, 24, 24)
        nn.MaxPool2D(pool_size=2),
        nn.Conv2D(50, kernel_size=5, activation="relu"),        # (N, 20, 12, 12) -> (N, 50, 8, 8)
        nn.MaxPool2D(pool_size=2),
        nn.Flatten(),
        nn.Dense(500, activation="relu"),
        nn.Dense(10),                                           # one score per digit
    )
    return net


def train(net, batches, trainer, title):
    """One pass over ``batches``; returns the mean loss."""
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    total = count = 0
    for data, label in tqdm(batches, title, unit="batch", leave=False):
        with autograd.record():
            error = loss(net(data), label)
        error.backward()
        trainer.step(batch_size=len(data))
        total, count = total + error.sum(), count + len(data)
    return total.asscalar() / count


def predict(net, batches):
    """Probability of each digit for each image, as a NumPy array (N, 10)."""
    return np.concatenate([mx.nd.softmax(net(data)).asnumpy() for data, _ in batches])


def picture(images, labels, probability, title, columns=10, rows=4, tile=84):
    """The images that the network is least sure of, each with the digit it chose; mistakes in red."""
    chosen, sure = probability.argmax(axis=1), probability.max(axis=1)
    sheet = Image.new("RGB", (columns * tile + 16, rows * (tile + 26) + 60), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((16, 14), title, "black", ImageFont.load_default(20))
    for place, i in enumerate(np.argsort(sure, kind="stable")[:columns * rows]):
        x, y = 12 + place % columns * tile, 52 + place // columns * (tile + 26)
        digit = Image.fromarray(np.uint8(255 - 255 * images[i, 0])).resize((tile - 8, tile - 8))
        sheet.paste(digit, (x, y))
        right = chosen[i] == labels[i]
        text = f"{chosen[i]}  {sure[i]:.0%}" if right else f"{chosen[i]}, is {labels[i]:.0f}"
        draw.text((x + (tile - 8) / 2, y + tile - 6), text, "#2a7a2a" if right else "#c02020",
                  ImageFont.load_default(15), anchor="ma")
    return sheet


def load(folder, digits):
    """Images and labels for training and testing, and what they are."""
    if digits:
        return mx.datasets.digits(), "digits"
    if folder:
        return mx.test_utils.get_mnist(folder), "MNIST"
    try:
        return mx.test_utils.get_mnist(), "MNIST"
    except OSError:
        print("MNIST is neither in the data folder nor to be downloaded: using the digits that ship with mxcy")
        return mx.datasets.digits(), "digits"


def main(arguments=None):
    parser = argparse.ArgumentParser("python -m mxcy.examples.lenet", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", metavar="DIR", help="folder of MNIST's four files")
    parser.add_argument("--digits", action="store_true", help="use the small set that ships with mxcy")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the training set (%(default)s)")
    parser.add_argument("--batch-size", type=int, default=64, help="images per step (%(default)s)")
    parser.add_argument("--lr", type=float, default=0.001, help="learning rate (%(default)s)")
    parser.add_argument("--seed", type=int, default=42, help="of the weights and the order of the images (%(default)s)")
    parser.add_argument("--picture", default="lenet.png", metavar="FILE", help="where to draw (%(default)s)")
    parser.add_argument("--at-least", type=float, default=0, metavar="ACCURACY", help="less in the end is a failure")
    options = parser.parse_args(arguments)

    mx.random.seed(options.seed)
    np.random.seed(options.seed)                                # DataLoader shuffles with NumPy's generator
    data, name = load(options.data, options.digits)
    training = gluon.data.DataLoader(gluon.data.ArrayDataset(data["train_data"], data["train_label"]),
                                     options.batch_size, shuffle=True)
    testing = gluon.data.DataLoader(gluon.data.ArrayDataset(data["test_data"], data["test_label"]), 100)
    labels = data["test_label"]
    print(f"LeNet on {name}: {len(data['train_label'])} images to learn from, {len(labels)} to test")

    net = lenet()
    net.initialize(mx.init.Xavier(magnitude=2.24))
    trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": options.lr})
    for epoch in range(1, options.epochs + 1):
        start = time.perf_counter()
        error = train(net, training, trainer, f"epoch {epoch}")
        if not math.isfinite(error):
            return f"the loss is {error} after epoch {epoch}: the steps are too long, try a smaller --lr"
        probability = predict(net, testing)
        accuracy = np.mean(probability.argmax(axis=1) == labels)
        print(f"epoch {epoch:2}   loss {error:.4f}   test accuracy {accuracy:.4f}   "
              f"{time.perf_counter() - start:.1f} s", flush=True)

    title = f"LeNet, {name}, {accuracy:.2%} right: the {min(40, len(labels))} test images it is least sure of"
    picture(data["test_data"], labels, probability, title).save(options.picture)
    print(f"predictions drawn in {options.picture}")
    if accuracy < options.at_least:
        return f"the accuracy is {accuracy:.4f}; --at-least {options.at_least} was asked for"


if __name__ == "__main__":
    try:
        failure = main()
    except (OSError, mx.MXNetError) as error:
        failure = error
    sys.exit(f"lenet: {failure}" if failure else 0)
