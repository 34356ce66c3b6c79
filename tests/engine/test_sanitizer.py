"""The engine alone, built with ThreadSanitizer, under random schedules."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETUP = """
from pathlib import Path
from Cython.Build import cythonize
from setuptools import Extension, setup

flags = ["-fsanitize=thread", "-fopenmp", "-O1", "-g", "-std=c++17"]
setup(ext_modules=cythonize([Extension(str(p)[:-4].replace("/", "."), [str(p)], language="c++", include_dirs=["."],
                                       extra_compile_args=flags, extra_link_args=flags)
                             for p in Path("mxcy").rglob("*.pyx")], language_level=3))
"""


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory):
    """A folder with the engine built for ThreadSanitizer, and the environment to run it in."""
    asked = subprocess.run(["gcc", "-print-file-name=libtsan.so"], capture_output=True, text=True)
    library = Path(asked.stdout.strip())
    if not library.is_absolute():
        pytest.skip("the compiler has no ThreadSanitizer")
    folder = tmp_path_factory.mktemp("tsan")
    shutil.copytree(ROOT / "mxcy/engine", folder / "mxcy/engine", ignore=shutil.ignore_patterns("*.so"))
    for name in ("base.py", "__init__.pxd"):
        shutil.copy(ROOT / "mxcy" / name, folder / "mxcy" / name)
    (folder / "mxcy/__init__.py").touch()
    (folder / "setup.py").write_text(SETUP)
    subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=folder, check=True)
    return folder, dict(os.environ, LD_PRELOAD=str(library.resolve()), MXCY_NUM_THREADS="3",
                        PYTHONPATH=os.pathsep.join((str(folder), str(Path(__file__).parent))),
                        TSAN_OPTIONS="halt_on_error=0:report_signal_unsafe=0:exitcode=66")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["ThreadedEngine", "NaiveEngine"])
@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("n_vars", [4, 300])
def test_no_data_race(sanitized, n_vars, n_threads, engine):
    folder, environment = sanitized
    done = subprocess.run([sys.executable, "-m", "schedules", "5", str(n_vars), "2000", str(n_threads)], cwd=folder,
                          env=dict(environment, MXCY_ENGINE_TYPE=engine), capture_output=True, text=True, timeout=600)
    assert "WARNING: ThreadSanitizer" not in done.stderr, done.stderr[:8000]
    assert done.stdout.strip() == "ok", done.stderr[-8000:]
