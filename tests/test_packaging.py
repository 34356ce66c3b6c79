"""What is written down in several places for packagers agrees."""
import re
from pathlib import Path

import mxcy

ROOT = Path(__file__).parents[1]


def items(text, key):
    """Names in the YAML list under ``key``, less their versions."""
    block = re.search(rf"^( *){key}:\n((?:\1 *(?:- .*|#.*)\n)+)", text, re.MULTILINE)[2]
    return set(re.findall(r"^ *- ([\w-]+)", block, re.MULTILINE))


def requirements():
    """What setup.py installs along with mxcy, oneDNN apart."""
    return set(re.findall(r'"(\w+)[^"]*"', re.search(r"install_requires=\[(.*?)\*", (ROOT / "setup.py").read_text())[1]))


def test_version_of_the_recipe():
    recipe = (ROOT / "recipe/recipe.yaml").read_text()
    assert re.search(r'^  version: "(.*?)"', recipe, re.MULTILINE)[1] == mxcy.__version__


def test_requirements_of_the_recipe():
    recipe = (ROOT / "recipe/recipe.yaml").read_text()
    assert items(recipe, "run") == requirements() | {"python", "onednn", "libgomp"}


def test_environment_has_all_requirements():
    environment = items((ROOT / "environment.yml").read_text(), "dependencies")
    assert requirements() | items((ROOT / "recipe/recipe.yaml").read_text(), "host") <= environment


def test_readme_has_two_commands():
    commands = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert commands == ["pip install -e . && python -m mxcy.examples.lenet\n",
                        "pip install -e '.[test]' && python -m pytest\n"]
