"""The example programs run, and fail with a message where they cannot."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import mxcy

MNIST = Path(__file__).parents[2] / "shared/data/mnist"


def lenet(folder, *arguments):
    """Run the example in ``folder``; the finished process."""
    env = {**os.environ, "PYTHONPATH": str(Path(mxcy.__file__).parents[1])}
    return subprocess.run([sys.executable, "-m", "mxcy.examples.lenet", *arguments],
                          cwd=folder, env=env, capture_output=True, text=True, timeout=300)


def test_lenet_learns_the_digits_that_ship_with_the_package(tmp_path):
    run = lenet(tmp_path, "--digits", "--epochs", "5", "--at-least", "0.9")
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("test accuracy") == 5
    with Image.open(tmp_path / "lenet.png") as picture:
        assert picture.width > 500 and len(picture.getcolors(1 << 24)) > 100


@pytest.mark.skipif(not MNIST.is_dir(), reason="needs ../shared/data/mnist")
def test_lenet_on_mnist_in_a_given_folder(tmp_path):
    run = lenet(tmp_path, "--data", str(MNIST), "--epochs", "1", "--at-least", "0.96", "--picture", "seen.png")
    assert run.returncode == 0, run.stderr
    assert "LeNet on MNIST: 60000 images" in run.stdout
    assert (tmp_path / "seen.png").exists()


@pytest.mark.parametrize("arguments, message", [
    (["--data", "missing"], "missing"),
    (["--digits", "--epochs", "1", "--lr", "1e30"], "try a smaller --lr"),
    (["--digits", "--epochs", "1", "--lr", "0", "--at-least", "0.99"], "--at-least 0.99"),
    (["--digits", "--epochs", "1", "--picture", "missing/lenet.png"], "missing/lenet.png"),
])
def test_lenet_says_what_went_wrong(tmp_path, arguments, message):
    run = lenet(tmp_path, *arguments)
    assert run.returncode == 1
    assert message in run.stderr and "Traceback" not in run.stderr
