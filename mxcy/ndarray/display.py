"""How arrays look: ``repr`` as MXNet's, and a table with figures, or a picture, in notebooks."""
import base64
import io

import numpy as np

__all__ = ["rich_html", "text"]

#: Arrays above this many elements show no minimum, maximum and mean, which would have to be computed.
FIGURES_UP_TO = 10_000_000


def text(self):
    """The values, and the class, shape and context: what ``print`` shows."""
    shape = "x".join(map(str, self.shape))
    return f"\n{self.asnumpy()!s}\n<{type(self).__name__} {shape} @{self.context}>"


def rich_html(self):
    """HTML for notebooks: shape, dtype, context, the range and mean of the values, and the values or a picture."""
    import html                             # a table of 2,000 names that nothing but notebooks needs
    values = self.asnumpy()
    rows = [("shape", " × ".join(map(str, self.shape)) or "no axes"), ("dtype", self.dtype_name),
            ("context", str(self.context))]
    if 0 < values.size <= FIGURES_UP_TO:
        rows += figures(values)
    head = "".join(f"<td style='text-align:left'><small>{k}</small><br><b>{html.escape(v)}</b></td>" for k, v in rows)
    picture = thumbnail(values)
    body = picture or f"<pre>{html.escape(np.array2string(values, threshold=100, edgeitems=3))}</pre>"
    return f"<div><b>{type(self).__name__}</b><table><tr>{head}</tr></table>{body}</div>"


def figures(values):
    """(name, text) of minimum, maximum and mean of what is finite, and how many are not, if any."""
    wide = values.astype(np.float64)
    finite = wide[np.isfinite(wide)]
    rows = [("min", f"{finite.min():.6g}"), ("max", f"{finite.max():.6g}"), ("mean", f"{finite.mean():.6g}")] \
        if finite.size else []
    if finite.size < wide.size:
        rows.append(("not finite", str(wide.size - finite.size)))
    return rows


def thumbnail(values):
    """An ``<img>`` of an array that looks like a picture, (H, W), (H, W, 1 or 3) or (1 or 3, H, W); else None."""
    if values.ndim == 3 and values.shape[0] in (1, 3) and values.shape[2] not in (1, 3):
        values = values.transpose(1, 2, 0)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    pixels = values.dtype == np.uint8 or (values.ndim == 2 and values.shape[0] == values.shape[1])
    if not (values.ndim == 2 or (values.ndim == 3 and values.shape[2] == 3)) or not pixels \
            or not 16 <= min(values.shape[:2]) <= max(values.shape[:2]) <= 2048:
        return None
    if values.dtype != np.uint8:
        wide = np.nan_to_num(values.astype(np.float32))
        low, high = wide.min(), wide.max()
        values = ((wide - low) * (255 / (high - low) if high > low else 0)).astype(np.uint8)
    from PIL import Image                       # only notebooks come here
    file = io.BytesIO()
    picture = Image.fromarray(values)
    picture.thumbnail((256, 256))
    picture.save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return f"<img style='image-rendering:pixelated;min-width:96px' src='data:image/png;base64,{data}'>"
