"""Corpora of the literature whose files nobody has described in public: who has them is told what to do."""

from __future__ import annotations

from pathlib import Path

from limbeck.datasets import DatasetInfo, dataset
from limbeck.errors import DataError
from limbeck.recording import Corpus

__all__ = ["decaf", "lumed_2"]


def _refuse(title: str) -> DataError:
    return DataError(
        f"The files of {title} have no public description, so there is no reader for them. Bring the recordings in "
        "with what a lab has: `limbeck datasets describe csv` (tables and labels), `e4`, `edf`, `bids`, `xdf`, or "
        "limbeck.from_arrays."
    )


@dataset(
    "lumed-2",
    info=DatasetInfo(
        title="LUMED-2: film clips, with EEG, a wristband's skin conductance and the face",
        modalities=("eeg", "eda", "video"),
        subjects=13,
        licence="as stated where it is found",
        citation="Cimtay et al., Cross-Subject Multimodal Emotion Recognition Based on Hybrid Fusion, IEEE Access 2020",
        url="https://doi.org/10.1109/ACCESS.2020.3023871",
        access="unread",
        checked="nothing: no public loader and no description of its files was found",
        obtain="Said to be public in the repository of Loughborough University; ask its authors.",
        uncertain=("the whole layout; its wristband is an Empatica E4, so `e4` may read that part",),
    ),
)
def lumed_2(root: Path | None) -> Corpus:
    """LUMED-2: nobody has described its files in public; there is no reader.

    Thirteen subjects watched film clips (sad, neutral, happy, as settled by interview) with eight electrodes (Enobio),
    an Empatica E4 and a camera. Who has it can bring it in as `csv`, its wristband as `e4`, EDF exports as `edf`.

    Parameters
    ----------
    root : Path, optional
        Not read.

    Raises
    ------
    DataError
        Always, with what to use instead.
    """
    raise _refuse("LUMED-2")


@dataset(
    "decaf",
    info=DatasetInfo(
        title="DECAF: music videos and film clips, with magnetoencephalography and peripheral signals",
        modalities=("ecg", "emg", "eog", "video"),
        subjects=30,
        licence="licence agreement with the University of Trento",
        citation="Abadi et al., DECAF: MEG-Based Multimodal Database for Decoding Affective Physiological Responses, "
        "IEEE Transactions on Affective Computing 2015",
        url="https://doi.org/10.1109/TAFFC.2015.2392932",
        access="unread",
        checked="nothing: no public loader and no description of its files was found",
        obtain="Sign the agreement of the MHUG group, University of Trento.",
        uncertain=("the whole layout",),
    ),
)
def decaf(root: Path | None) -> Corpus:
    """DECAF: nobody has described its files in public; there is no reader.

    Thirty subjects, 40 music videos (those of DEAP) and 36 film clips (those of ASCERTAIN), with 306 sensors of
    magnetoencephalography at 1000 Hz, ECG, EOG and the trapezius' EMG, and ratings of valence, arousal and dominance.
    Who has it can bring it in as `csv` or, exported to EDF or BIDS, as `edf` or `bids`.

    Parameters
    ----------
    root : Path, optional
        Not read.

    Raises
    ------
    DataError
        Always, with what to use instead.
    """
    raise _refuse("DECAF")
