"""Binary formats as other programs write them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["EdfChannel", "edf_bytes", "py2_pickle"]


@dataclass(frozen=True)
class EdfChannel:
    """A channel of an EDF or BDF file.

    Parameters
    ----------
    label, unit : str
        As the header has them.
    digital : ndarray of shape (n_records * samples,), int
        What the file holds.
    samples : int
        Per record.
    physical, digital_range : tuple of two numbers, optional
        The header's ranges; by default those of the format, physical like digital: a step is one unit.
    """

    label: str
    digital: np.ndarray
    samples: int
    unit: str = "uV"
    physical: tuple[float, float] | None = None
    digital_range: tuple[int, int] | None = None


def edf_bytes(channels: Sequence[EdfChannel], *, n_records: int, seconds: float = 1.0, kind: str = "EDF") -> bytes:
    """Return an EDF (``kind="EDF"``) or BDF file without annotations, in records of `seconds`."""
    width, limit = (2, 32767) if kind == "EDF" else (3, 8388607)
    whole = (-limit - 1, limit)
    columns: list[tuple[list[object], int]] = [
        ([c.label for c in channels], 16),
        ([""] * len(channels), 80),
        ([c.unit for c in channels], 8),
        *(([(c.physical or whole)[i] for c in channels], 8) for i in (0, 1)),
        *(([(c.digital_range or whole)[i] for c in channels], 8) for i in (0, 1)),
        ([""] * len(channels), 80),
        ([c.samples for c in channels], 8),
        ([""] * len(channels), 32),
    ]
    version = b"0".ljust(8) if kind == "EDF" else b"\xffBIOSEMI"
    head = [version, b"X X X X".ljust(80), b"Startdate X X X X".ljust(80), b"01.02.2110.30.00"]
    sizes = ((256 * (len(channels) + 1), 8), ("" if kind == "EDF" else "24BIT", 44), (n_records, 8))
    fields = [*sizes, (f"{seconds:g}", 8), (len(channels), 4)]
    fields += [(value, size) for values, size in columns for value in values]
    head += [str(value).encode("latin-1").ljust(size) for value, size in fields]
    records = [
        np.ascontiguousarray(c.digital.astype("<i4").reshape(n_records, c.samples, 1)).view(np.uint8)[..., :width]
        for c in channels
    ]
    data = np.concatenate([record.reshape(n_records, -1) for record in records], axis=1)
    return b"".join([*head, data.tobytes()])


def py2_pickle(value: object) -> bytes:
    """Pickle as Python 2 did: text as bytes, arrays from byte strings."""
    out = [b"\x80\x02"]

    def text(raw: bytes) -> None:
        head = b"U" + struct.pack("<B", len(raw)) if len(raw) < 256 else b"T" + struct.pack("<i", len(raw))
        out.append(head + raw)

    def number(n: int) -> None:
        out.append(b"K" + struct.pack("<B", n) if 0 <= n < 256 else b"J" + struct.pack("<i", n))

    def put(item: object) -> None:
        if isinstance(item, dict):
            out.append(b"}(")
            for key, inner in item.items():
                put(key)
                put(inner)
            out.append(b"u")
        elif isinstance(item, str):
            text(item.encode("latin1"))
        else:
            array = np.ascontiguousarray(item)
            out.append(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n")
            number(0)
            out.append(b"\x85")
            text(b"b")
            out.append(b"\x87R(")
            number(1)
            out.append(b"(")
            for n in array.shape:
                number(n)
            out.append(b"tcnumpy\ndtype\n")
            text(array.dtype.str[1:].encode())
            number(0)
            number(1)
            out.append(b"\x87R(")
            number(3)
            text(b"<")
            out.append(b"NNN" + 2 * (b"J" + struct.pack("<i", -1)))
            number(0)
            out.append(b"tb\x89")
            text(array.tobytes())
            out.append(b"tb")

    put(value)
    return b"".join([*out, b"."])
