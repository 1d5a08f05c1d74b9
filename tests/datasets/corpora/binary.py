"""Binary formats as other programs write them."""

from __future__ import annotations

import struct

import numpy as np

__all__ = ["py2_pickle"]


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
