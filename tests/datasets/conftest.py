"""Writers of small files in the formats that the readers know, true to the formats in every field."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

START = 1_600_000_000.0
RATES = {"ACC": 32, "BVP": 64, "EDA": 4, "TEMP": 4}


def e4_texts(seconds: int, start: float = START, offsets: Mapping[str, float] | None = None) -> dict[str, str]:
    """The files of an E4 session as text, with values that say what they are."""
    offsets = offsets or {}
    rng = np.random.default_rng(3)
    values = {
        "BVP": [f"{v:.2f}" for v in rng.normal(0, 50, 64 * seconds)],
        "EDA": [f"{v:.6f}" for v in 0.5 + 0.01 * np.arange(4 * seconds)],
        "TEMP": [f"{v:.2f}" for v in 33 + 0.01 * np.arange(4 * seconds)],
        "ACC": [
            f"{x},{y},64" for x, y in zip(np.arange(32 * seconds) % 100, -np.arange(32 * seconds) % 90, strict=True)
        ],
    }
    texts = {}
    for name, rows in values.items():
        columns = 3 if name == "ACC" else 1
        head = [f"{start + offsets.get(name, 0.0):.6f}", f"{RATES[name]:.6f}"]
        texts[f"{name}.csv"] = "\n".join([", ".join([h] * columns) for h in head] + rows) + "\n"
    heart = "\n".join(f"{70 + i % 5}.00" for i in range(max(seconds - 10, 1)))
    texts["HR.csv"] = f"{start + 10:.6f}\n1.000000\n{heart}\n"
    texts["IBI.csv"] = f"{start:.6f}, IBI\n12.5,0.84375\n13.4375,0.9375\n20.0,0.828125\n"
    texts["tags.csv"] = ""
    return texts


@pytest.fixture
def e4_files() -> Callable[..., dict[str, str]]:
    """Make the texts of a session's files."""
    return e4_texts


@pytest.fixture
def write_e4() -> Callable[..., Path]:
    """Write a session folder; keyword arguments replace files (None leaves one out)."""

    def write(
        folder: Path,
        seconds: int = 120,
        *,
        start: float = START,
        offsets: Mapping[str, float] | None = None,
        replace: Mapping[str, str | bytes | None] | None = None,
    ) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        files: dict[str, str | bytes | None] = {**e4_texts(seconds, start, offsets), **(replace or {})}
        for name, text in files.items():
            if text is not None:
                (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
        return folder

    return write


def edf_bytes(
    channels: Sequence[Mapping[str, object]],
    *,
    n_records: int = 4,
    seconds: float = 1.0,
    kind: str = "EDF",
    reserved: str = "",
    stated_records: int | None = None,
    annotations: Sequence[Sequence[bytes]] | None = None,
) -> bytes:
    """An EDF or BDF file from digital values.

    Each channel: ``label``, ``digital`` (n_records * samples), ``samples``, and optionally ``unit``, ``physical`` and
    ``range``. `annotations` are the bytes of each record's annotation signal.
    """
    width, limit = (2, 32767) if kind == "EDF" else (3, 8388607)
    listed = [dict(channel) for channel in channels]
    if annotations is not None:
        size = 30 * width
        listed.append({"label": f"{kind} Annotations", "samples": 30, "raw": [b"".join(a) for a in annotations]})
    fields: list[list[object]] = [[] for _ in range(10)]
    for c in listed:
        low, high = c.get("physical", (-limit - 1, limit))  # type: ignore[misc]
        digital_low, digital_high = c.get("range", (-limit - 1, limit))  # type: ignore[misc]
        values = (c["label"], "", c.get("unit", "uV"), low, high, digital_low, digital_high, "", c["samples"], "")
        for column, value in zip(fields, values, strict=True):
            column.append(value)
    widths = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)

    def pad(value: object, size: int) -> bytes:
        raw = value if isinstance(value, bytes) else str(value).encode("latin-1")
        assert len(raw) <= size, (value, size)
        return raw.ljust(size)

    version = b"0       " if kind == "EDF" else b"\xffBIOSEMI"
    head = [version, pad("X X X X", 80), pad("Startdate X X X X", 80), b"01.02.21", b"10.30.00"]
    head += [pad(256 * (len(listed) + 1), 8), pad(reserved, 44)]
    head += [
        pad(n_records if stated_records is None else stated_records, 8),
        pad(f"{seconds:g}", 8),
        pad(len(listed), 4),
    ]
    signal_head = [pad(v, size) for column, size in zip(fields, widths, strict=True) for v in column]
    data = []
    for record in range(n_records):
        for c in listed:
            if "raw" in c:
                data.append(c["raw"][record].ljust(size, b"\0"))  # type: ignore[index]
                continue
            n = int(c["samples"])  # type: ignore[call-overload]
            part = np.asarray(c["digital"])[record * n : (record + 1) * n]
            data += [struct.pack("<i", int(v))[:width] for v in part]
    return b"".join(head + signal_head + data)


@pytest.fixture
def make_edf() -> Callable[..., bytes]:
    """Make an EDF or BDF file in memory."""
    return edf_bytes


@pytest.fixture
def eegmat_edf() -> Callable[..., bytes]:
    """Make a file with EEGMAT's channels at 50 Hz, EEG channel k being ``100 k`` digital everywhere."""

    def make(seconds: int = 4, **options: object) -> bytes:
        sites = [
            "Fp1",
            "Fp2",
            "F3",
            "F4",
            "F7",
            "F8",
            "T3",
            "T4",
            "C3",
            "C4",
            "T5",
            "T6",
            "P3",
            "P4",
            "O1",
            "O2",
            "Fz",
            "Cz",
            "Pz",
        ]
        n = 50
        channels = [
            {"label": f"EEG {site}", "digital": np.full(n * seconds, 100 * k), "samples": n}
            for k, site in enumerate([*sites, "A2-A1"])
        ]
        channels.append({"label": "ECG ECG", "digital": np.full(n * seconds, 1500), "samples": n})
        return edf_bytes(channels, n_records=seconds, **options)  # type: ignore[arg-type]

    return make
