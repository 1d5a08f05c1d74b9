"""Training: the networks of many folds as one.

An :class:`~limbeck.training.ensemble.Ensemble` holds one network per *member* (a fold of a repetition, with a seed) and
trains them side by side; :func:`~limbeck.training.loop.fit` is the loop, :mod:`scalers` holds the three modes of
normalisation, :mod:`draws` every random number; :mod:`classical` fits the models that have no gradients. What a member
gets does not depend on which other members train with it.
"""

from limbeck.training.classical import fit_classical, predict_classical
from limbeck.training.draws import Member
from limbeck.training.ensemble import Ensemble
from limbeck.training.loop import Settings, Taught, Trained, fit
from limbeck.training.scalers import Scaler, normalise
from limbeck.training.sights import PartnerWindows, Sights
from limbeck.training.tensors import WindowTensors

__all__ = [
    "Ensemble",
    "Member",
    "PartnerWindows",
    "Scaler",
    "Settings",
    "Sights",
    "Taught",
    "Trained",
    "WindowTensors",
    "fit",
    "fit_classical",
    "normalise",
    "predict_classical",
]
