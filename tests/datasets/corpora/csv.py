"""CSV: tables as spreadsheets and scripts write them, beside tables of channels, labels and clocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corpora import Expected, ExpectedSignal, Written, corpus

RATE = 32


def _text(rows: list[list[object]], separator: str, decimal: str) -> str:
    def cell(value: object) -> str:
        return f"{value:.9g}".replace(".", decimal) if isinstance(value, float) else str(value)

    return "\n".join(separator.join(cell(value) for value in row) for row in rows) + "\n"


def _write(
    folder: Path, rng: np.random.Generator, *, separator: str, decimal: str, clocked: bool, bom: str = ""
) -> Written:
    """Two subjects with three trials each, shown in an order of their own; the second sensor late and slow or not."""

    def save(name: str, rows: list[list[object]]) -> Path:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(bom + _text(rows, separator, decimal), encoding="utf-8")
        return file

    save(
        "channels.csv",
        [
            ["name", "modality", "unit", "rate"],
            ["Fz", "eeg", "uV", ""],
            ["Cz", "eeg", "V", ""],
            ["R", "eda", "kOhm", ""],
        ],
    )
    recordings, files, labels = [], [], []
    clocks: list[list[object]] = [["subject", "trial", "modality", "offset", "drift"]]
    for subject in ("p1", "p2"):
        offset = round(float(rng.uniform(-0.5, 1.5)), 4) if clocked else 0.0
        clocks.append([subject, "", "eda", offset, ""])
        for order, place in enumerate(rng.permutation(3).tolist()):
            trial, n, begin = f"clip{place}", RATE * int(rng.integers(3, 6)), float(rng.integers(0, 100))
            own = 2.5 if clocked and place == 1 else offset
            if own != offset:
                clocks.append([subject, trial, "eda", own, 0.0])
            fz, cz, ohm = rng.normal(0, 20, n), rng.normal(0, 2e-5, n), rng.uniform(100, 900, n)
            rows = [[float(begin + k / RATE), float(fz[k]), float(cz[k]), float(ohm[k])] for k in range(n)]
            files.append(save(f"signals/{subject}/{trial}.csv", [["time", "Fz", "Cz", "R"], *rows]))
            times = begin + np.arange(0, n / RATE, 0.5)
            dial = rng.uniform(-1, 1, len(times))
            columns = zip(times.tolist(), dial.tolist(), strict=True)
            save(f"labels/{subject}/{trial}.csv", [["time", "dial"], *([t, d] for t, d in columns)])
            word, valence = str(rng.choice(["joy", "fear"])), float(rng.integers(1, 10))
            labels.append([subject, trial, order, word, valence])
            signals = {
                "eeg": ExpectedSignal(np.stack([fz, cz * 1e6]), RATE, ("Fz", "Cz"), rtol=1e-5, atol=1e-5),
                "eda": ExpectedSignal(1000 / ohm[np.newaxis], RATE, ("R",), start=own, rtol=1e-5),
            }
            end = max(n / RATE, own + n / RATE)
            recordings.append(
                Expected(
                    subject,
                    signals,
                    trial=trial,
                    order=order,
                    ratings={"valence": valence},
                    events=[(word, 0.0, end)],
                    traces={"dial": (times - begin, dial)},
                )
            )
    shuffled = [labels[k] for k in rng.permutation(len(labels))]
    save("labels.csv", [["subject", "trial", "order", "feeling", "valence"], *shuffled])
    if clocked:
        save("clocks.csv", clocks)
    return Written(folder, recordings, signal_files=files)


@corpus("csv")
def write(folder: Path, rng: np.random.Generator) -> Written:
    """Commas and points."""
    return _write(folder, rng, separator=",", decimal=".", clocked=False)


@corpus("csv", "clocks")
def write_clocks(folder: Path, rng: np.random.Generator) -> Written:
    """Semicolons and decimal commas, with a table of clocks."""
    return _write(folder, rng, separator=";", decimal=",", clocked=True, bom="\ufeff")
