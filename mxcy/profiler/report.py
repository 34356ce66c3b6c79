"""What was recorded as a trace in Chrome's format, and as totals by name."""
import json
import os
import threading

__all__ = ["COLUMNS", "FORMATS", "totals", "trace", "write"]

COLUMNS = ("total", "avg", "min", "max", "count")
_SCOPES = {"global": "g", "process": "p", "thread": "t", "task": "t", "marker": "t"}


def _microseconds(ns):
    return ns / 1000


def trace(events, marks, dropped=0):
    """The trace as an object for JSON.

    Parameters
    ----------
    events : list of tuple
        Of `mxcy.engine._profile.events`.
    marks : list of Mark
    dropped : int
        How many events are missing.

    Returns
    -------
    dict
    """
    pid = os.getpid()
    lines = [{"ph": "M", "name": "process_name", "pid": pid, "args": {"name": "mxcy"}}]
    threads = {thread.native_id: thread.name for thread in threading.enumerate()}
    for thread, worker, *_ in events:
        threads[thread] = f"worker {worker}" if worker >= 0 else threads.get(thread, f"thread {thread}")
    for thread, _, kind, name, queued, start, end, nbytes, in_use in events:
        args = {"kind": kind}
        if queued:
            args["queued_us"] = _microseconds(start - queued)
        if nbytes:
            args["bytes"] = nbytes
        lines.append({"ph": "X", "name": name, "cat": kind, "pid": pid, "tid": thread, "ts": _microseconds(start),
                      "dur": _microseconds(end - start), "args": args})
        if in_use >= 0:
            lines.append({"ph": "C", "name": "memory", "pid": pid, "ts": _microseconds(end),
                          "args": {"bytes in use": in_use}})
    for mark in marks:
        line = {"name": mark.name, "cat": mark.category, "pid": pid, "tid": mark.thread,
                "ts": _microseconds(mark.start)}
        if mark.kind == "span":
            line.update(ph="X", dur=_microseconds(mark.end - mark.start))
        elif mark.kind == "counter":
            line.update(ph="C", args={mark.name: mark.value})
        else:
            line.update(ph="i", s=_SCOPES.get(mark.value, "p"))
        lines.append(line)
    lines += [{"ph": "M", "name": "thread_name", "pid": pid, "tid": thread, "args": {"name": name}}
              for thread, name in threads.items()]
    return {"traceEvents": lines, "displayTimeUnit": "ms", "otherData": {"dropped events": dropped}}


def write(thing, filename):
    """Write JSON to a file that is complete as soon as it exists."""
    temporary = f"{filename}.{os.getpid()}.tmp"
    with open(temporary, "w") as file:
        json.dump(thing, file)
    os.replace(temporary, filename)


def totals(events, marks, sort_by, ascending):
    """A dict of category to a dict of name to figures: ``count``, and the others of `COLUMNS` in ms (or as counted)."""
    values, in_use = {}, []
    for _, _, kind, name, _, start, end, _, memory in events:
        values.setdefault(kind, {}).setdefault(name, []).append((end - start) / 1e6)
        if memory >= 0:
            in_use.append(memory / 1024)
    for mark in marks:
        if mark.kind == "span":
            values.setdefault(mark.category, {}).setdefault(mark.name, []).append((mark.end - mark.start) / 1e6)
        elif mark.kind == "counter":
            values.setdefault(f"{mark.category} counters", {}).setdefault(mark.name, []).append(mark.value)
    if in_use:
        values["memory (KiB in use)"] = {"cpu": in_use}
    return {category: dict(sorted(((name, _figures(found)) for name, found in names.items()),
                                  key=lambda item: item[1][sort_by], reverse=not ascending))
            for category, names in values.items()}


def _figures(values):
    return {"count": len(values), "total": sum(values), "min": min(values), "max": max(values),
            "avg": sum(values) / len(values)}


def _table(found):
    lines = ["Profile statistics", "Times in ms; other categories say their units."]
    for category, names in found.items():
        lines += ["", category, "=" * len(category),
                  f"{'Name':<40}{'Count':>10}{'Total':>16}{'Min':>16}{'Max':>16}{'Avg':>16}"]
        lines += [f"{name:<40}{f['count']:>10}" + "".join(f"{f[key]:>16.4f}" for key in ("total", "min", "max", "avg"))
                  for name, f in names.items()]
    return "\n".join(lines) + "\n"


def _json(found):
    return json.dumps({"Time": {category: {name: {key.capitalize(): figures[key] for key in
                                                  ("count", "total", "min", "max", "avg")}
                                           for name, figures in names.items()}
                                for category, names in found.items()}}, indent=2)


FORMATS = {"table": _table, "json": _json}
