"""What kernels take of a GPU, read from their machine code: registers, local and shared memory.

``python -m tests.gpu.resources [architecture]`` lists the kernels of all texts that test_compiles.py compiles, those first
that take most local memory and then most registers. No GPU is needed, only NVRTC.
"""
import re
import struct
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.gpu.texts import batches, sources, write_headers
from tests.gpu.tools import Nvrtc, real_nvrtc

# Attributes in the section .nv.info of a cubin.
REGISTERS, STACK, MAX_THREADS, LAUNCH_BOUNDS = 0x2f, 0x12, 0x05, 0x03
PER_SM, WARP, THREADS = 65536, 32, 256      # registers; threads; of a block that says nothing


class Kernel(NamedTuple):
    """A kernel's share of a multiprocessor."""

    name: str
    text: str
    registers: int          # of a thread
    local: int              # bytes of a thread: arrays that are indexed, and what registers had no room for
    shared: int             # bytes of a block, without what is asked for at the launch
    threads: int            # of a block, at most
    code: int               # bytes

    @property
    def occupancy(self):
        """The share of a multiprocessor's 2048 threads that its registers have room for."""
        registers = -(-self.registers // 8) * 8 * WARP              # they are given out by 256 to a warp
        warps = PER_SM // registers * WARP // self.threads * self.threads // WARP
        return min(warps, 64) / 64

    @property
    def line(self):
        """What tells the text from others."""
        lines = [line for line in self.text.splitlines() if not line.startswith("#include") and line != "}"]
        return next((line for line in lines if line.startswith("MXCY_")), " ".join(lines))


def kernels(cubin, parts):
    """The kernels in machine code that was made of texts joined by `batches`."""
    sections = dict(read_sections(cubin))
    names = symbols(cubin, sections)
    found = {}
    for code, value in attributes(cubin, sections[".nv.info"]):
        if code in (REGISTERS, STACK):
            index, number = struct.unpack("<II", value)
            found.setdefault(names[index], {})[code] = number
    for name, numbers in found.items():
        if f".text.{name}" not in sections:
            continue
        own = dict(attributes(cubin, sections[f".nv.info.{name}"]))
        threads = struct.unpack("<3I", own[MAX_THREADS])[0] if MAX_THREADS in own else THREADS
        text, plain = origin(name, parts)
        yield Kernel(plain, text, numbers[REGISTERS], numbers.get(STACK, 0),
                     sections.get(f".nv.shared.{name}", (0, 0))[1], threads, sections[f".text.{name}"][1])


def origin(name, parts):
    """(text, name) of a kernel with a mangled name: ``_ZN6text_34rowsE...`` is text_3::rows."""
    found = re.match(r"_Z(N)?(\d+)", name)
    rest = name[found.end():]
    if not found[1]:
        return parts[0], rest[:int(found[2])]                       # its header has it
    space, rest = rest[:int(found[2])], rest[int(found[2]):]
    length = re.match(r"\d+", rest)
    return parts[int(space.removeprefix("text_"))], rest[length.end():][:int(length[0])]


def read_sections(elf):
    """(name, (offset, size)) of the sections of a 64-bit ELF file."""
    table, = struct.unpack_from("<Q", elf, 40)
    entry, count, strings = struct.unpack_from("<3H", elf, 58)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + i * entry) for i in range(count)]
    for name, _, _, _, offset, size in headers:
        yield string(elf, headers[strings][4] + name), (offset, size)


def symbols(elf, sections):
    """Names by number."""
    (offset, size), (strings, _) = sections[".symtab"], sections[".strtab"]
    return [string(elf, strings + struct.unpack_from("<I", elf, at)[0]) for at in range(offset, offset + size, 24)]


def string(elf, at):
    return elf[at:elf.index(b"\0", at)].decode()


def attributes(elf, section):
    """(number, value) of the attributes in a section .nv.info."""
    at, size = section
    end = at + size
    while at < end:
        form, code, value = struct.unpack_from("<BBH", elf, at)
        at += 4
        if form == 4:                       # value is the size of what follows
            yield code, elf[at:at + value]
            at += value
        else:
            yield code, value


def compile_all(architecture, texts):
    """The kernels of texts; and the messages about those that do not compile."""
    nvrtc = Nvrtc(real_nvrtc())
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        # The option stands before those of the same kind that lead to the package itself.
        nvrtc.OPTIONS = [write_headers(Path(folder)), *nvrtc.OPTIONS]
        made = pool.map(lambda batch: (*nvrtc.compile(batch[0], architecture), batch[1]), batches(texts))
        found, logs = [], []
        for code, log, parts in made:
            if code is None:
                logs.append(log)
            else:
                found += kernels(code, parts)
    return found, logs


if __name__ == "__main__":
    found, logs = compile_all(*(sys.argv[1:] or ["sm_90"]), sources())
    print(*logs, sep="\n\n")
    print("local registers shared threads occupancy  code kernel")
    for k in sorted(found, key=lambda k: (-k.local, -k.registers, k.line)):
        print(f"{k.local:5} {k.registers:9} {k.shared:6} {k.threads:7} {k.occupancy:9.0%} {k.code:5} "
              f"{k.name}: {k.line[:100]}")
