"""A plan as a table that people can read."""
from mxcy.graph.graph import Entry
from mxcy.ops.fused import parse

__all__ = ["summarize"]

COLUMNS = (("", 4), ("step", 34), ("operator", 30), ("output", 26), ("memory", 18))


def summarize(program):
    """The steps of a program with the shapes, places and bytes of what they compute, and the memory of all.

    Parameters
    ----------
    program : Program

    Returns
    -------
    str
    """
    report = program.plan.report
    lines = [row(*(title for title, _ in COLUMNS)), "-" * sum(width + 2 for _, width in COLUMNS)]
    for number, node in enumerate(report["order"]):
        if number == report["n_forward"] and number:
            lines.append("backward")
        outputs = [Entry(node, i) for i in range(len(node.types))]
        for i, entry in enumerate(outputs):
            first = i == 0
            lines.append(row(str(number) if first else "", node.name if first else "",
                             operator_text(node) if first else "", f"{entry.dtype} {entry.shape}",
                             place_text(report["memory"].place[entry], entry.nbytes)))
    fused = sum(node.op.name.startswith("_fused") for node in report["order"])
    memory = report["memory"]
    lines.append(f"{len(report['order'])} steps ({report['n_forward']} forward), {fused} of them fused; "
                 f"{len(memory.dropped)} nodes need no step")
    lines.append(f"memory for intermediate values: {size(memory.arena)}, {size(memory.naive)} without sharing"
                 + (f" ({memory.naive / memory.arena:.1f}x)" if memory.arena else ""))
    if program.prepare is not None:
        lines += ["", "computed once from parameters:", summarize(program.prepare)]
    return "\n".join(lines)


def operator_text(node):
    """The operator; of a fused one also what it is made of."""
    if node.op.name != "_fused_pointwise":
        return node.op.name
    return " + ".join(step.op.name for step in parse(node.params["program"]).steps)


def place_text(place, count):
    in_slot, at = place
    return f"array {at}" if in_slot else f"{size(count)} at {at}"


def size(count):
    """A number of bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} GiB"


def row(*cells):
    return "  ".join(cell[:width].ljust(width) for cell, (_, width) in zip(cells, COLUMNS)).rstrip()
