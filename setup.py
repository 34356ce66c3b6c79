"""Build the extension modules: every ``.pyx`` is one; those named in a kernel file once per instruction set."""
import os
import sys
from importlib import metadata
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).parent
os.chdir(HERE)
BUILD = Path("build/cython")

# Kernel files say "# mxcy: kernel" in their first line. They are compiled for each level below into mxcy/ops/<level>/,
# and mxcy/ops/__init__.py puts the best level this processor has on the package's path.
LEVELS = {"x86-64": {"v2": ["-march=x86-64-v2"], "v3": ["-march=x86-64-v3"], "v4": ["-march=x86-64-v4"]}}
MACHINE = "x86-64" if os.uname().machine == "x86_64" else os.uname().machine
levels = LEVELS.get(MACHINE, {"base": []})
if "MXCY_LEVELS" in os.environ:                         # build fewer, for a quick development cycle
    levels = {name: levels[name] for name in os.environ["MXCY_LEVELS"].split(",")}

CFLAGS = ["-O3", "-g0", "-std=c++17", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden",
          "-Wno-unused-function", "-Wno-cpp"]
LFLAGS = []
if sys.platform == "linux":
    CFLAGS += ["-fopenmp", "-include", "mxcy/small_calls.h"]
    LFLAGS += ["-fopenmp", "-Wl,--wrap=GOMP_parallel"]
    if "MXCY_SYMBOLS" not in os.environ:                # set it to profile
        LFLAGS += ["-Wl,-s"]
if "MXCY_SANITIZE" in os.environ:                       # thread, address or undefined
    CFLAGS += [f"-fsanitize={os.environ['MXCY_SANITIZE']}", "-g1", "-O1"]
    LFLAGS = ["-fopenmp", "-Wl,--wrap=GOMP_parallel", f"-fsanitize={os.environ['MXCY_SANITIZE']}"]
MACROS = [("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")]


def wheel_file(package, end):
    """Folder-resolved path of a file that an installed wheel put somewhere, or None."""
    try:
        return next(f.locate().resolve() for f in metadata.files(package) or () if str(f).endswith(end))
    except (metadata.PackageNotFoundError, StopIteration):
        return None


def onednn():
    """Where oneDNN is, or None: (include folder, library folder now, and later, what to install with mxcy).

    It is that of MXCY_ONEDNN_ROOT, conda's or the wheels'. An isolated build sees a temporary copy of the wheels; later
    the library lies in the environment.
    """
    for name in ("MXCY_ONEDNN_ROOT", "PREFIX", "CONDA_PREFIX"):
        root = Path(os.environ.get(name) or "/nonexistent")
        if (root / "include/oneapi/dnnl/dnnl.h").exists():
            return root / "include", root / "lib", root / "lib", []
    header = wheel_file("onednn-devel-cpu-gomp", "oneapi/dnnl/dnnl.h")
    library = wheel_file("onednn-cpu-gomp", "libdnnl.so.3") or wheel_file("onednn-devel-cpu-gomp", "libdnnl.so.3")
    if header and library:
        version = metadata.version("onednn-devel-cpu-gomp")
        return header.parents[2], library.parent, Path(sys.prefix) / "lib", [f"onednn-cpu-gomp=={version}"]


DNNL = onednn()
EDITABLE = any(arg in ("editable_wheel", "develop", "--inplace") for arg in sys.argv)


def first_line(path):
    with open(path) as file:
        return file.readline()


def extension(name, source, extra=(), depth=1):
    """One extension module; those that mention oneDNN link to it, found at run time beside the interpreter."""
    text = Path(source if source.endswith(".pyx") else KERNEL_SOURCE[name.rpartition(".")[2]]).read_text()
    ext = Extension(name, [source], language="c++", include_dirs=[".", numpy.get_include()], define_macros=MACROS,
                    extra_compile_args=CFLAGS + list(extra), extra_link_args=list(LFLAGS), depends=HEADERS)
    if "_dnnl" in text:
        if DNNL is None:
            ext.define_macros = MACROS + [("MXCY_NO_ONEDNN", "1")]
        else:
            include, library, later, _ = DNNL
            up = "/".join([".."] * (depth + 3))         # site-packages/mxcy/... -> <prefix>/lib
            ext.include_dirs.append(str(include))
            ext.extra_link_args += [str(library / "libdnnl.so.3"), f"-Wl,-rpath,$ORIGIN/{up}"]
            if EDITABLE:
                ext.extra_link_args.append(f"-Wl,-rpath,{later}")
    return ext


SOURCES = sorted(str(p) for p in Path("mxcy").rglob("*.pyx"))
HEADERS = sorted(str(p) for p in [*Path("mxcy").rglob("*.h"), *Path("mxcy").rglob("*.pxd")])
KERNELS = [s for s in SOURCES if first_line(s).startswith("# mxcy: kernel")]
KERNEL_SOURCE = {Path(s).stem: s for s in KERNELS}


def extensions():
    plain = [extension(s[:-4].replace("/", "."), s, depth=s.count("/") - 1) for s in SOURCES if s not in KERNELS]
    kernels = [extension(s[:-4].replace("/", "."), s) for s in KERNELS]
    options = dict(build_dir=str(BUILD), nthreads=os.cpu_count(), language_level=3,
                   compiler_directives={"embedsignature": False})
    built = cythonize(plain, **options)
    for ext in cythonize(kernels, **options):           # one .cpp, compiled once per level through a one-line shim
        folder, _, stem = ext.name.rpartition(".")
        for level, flags in levels.items():
            shim = BUILD / level / f"{stem}.cpp"
            shim.parent.mkdir(parents=True, exist_ok=True)
            line = f'#include "{os.path.relpath(ext.sources[0], shim.parent)}"\n'
            if not shim.exists() or shim.read_text() != line:
                shim.write_text(line)
            variant = extension(f"{folder}.{level}.{stem}", str(shim), flags, depth=2)
            variant.depends = [*HEADERS, ext.sources[0]]
            if sys.platform == "linux":
                variant.extra_link_args.append("-Wl,--wrap=PyEval_SaveThread")
            built.append(variant)
    return built


class Build(build_ext):
    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def copy_extensions_to_source(self):
        for level in levels:
            Path("mxcy/ops", level).mkdir(exist_ok=True)
        super().copy_extensions_to_source()


setup(ext_modules=extensions(), cmdclass={"build_ext": Build},
      install_requires=["ml_dtypes", "numpy>=2", "pillow", "pooch", "scipy", "tqdm", *(DNNL[3] if DNNL else [])])
