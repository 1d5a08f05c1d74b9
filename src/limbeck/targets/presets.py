"""Targets by name: what is commonly predicted on published data sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["TARGETS", "Preset"]


@dataclass(frozen=True)
class Preset:
    """A target by name.

    Parameters
    ----------
    corpus : str
        The data set whose annotations it names; it serves any corpus with the same names.
    definition : mapping
        As of :meth:`limbeck.targets.Target.parse`.
    about : str
        One line.
    """

    corpus: str
    definition: Mapping[str, Any]
    about: str


_HEAT = {"pa1": "the pain threshold", "pa2": "level 2", "pa3": "level 3", "pa4": "the pain tolerance"}


def _biovid() -> dict[str, Preset]:
    """Return the tasks of BioVid: T0 is the baseline, T1 to T4 are the four levels of heat.

    The classes of the binary tasks have the same names, so that one study can hold all of them.
    """
    tasks = {
        f"biovid_t0_t{level}": Preset(
            "biovid",
            {"name": f"t0_t{level}", "events": {"no_pain": ["bl1"], "pain": [f"pa{level}"]}},
            f"no pain against heat at {_HEAT[f'pa{level}']}",
        )
        for level in range(1, 5)
    }
    tasks["biovid_t0_all"] = Preset(
        "biovid",
        {"name": "t0_all", "events": {"no_pain": ["bl1"], "pain": list(_HEAT)}},
        "no pain against heat of any level",
    )
    tasks["biovid_five"] = Preset(
        "biovid",
        {"name": "pain_level", "events": {f"t{code}": [event] for code, event in enumerate(("bl1", *_HEAT))}},
        "no pain and the four levels of heat",
    )
    return tasks


def _rated(
    prefix: str, ratings: tuple[str, ...], middle: Mapping[str, float], scale: str, within: list[str], corpus: str = ""
) -> dict[str, Preset]:
    """Return a target per rating, split at the middle of its scale, and the quadrants of valence and arousal."""
    place: dict[str, Any] = {"within": within} if within else {}
    targets = {
        f"{prefix}_{name}": Preset(
            corpus or prefix,
            {"name": name, "ratings": name, "threshold": middle[name], **place},
            f"{name} as rated, high above {middle[name]:g} ({scale})",
        )
        for name in ratings
    }
    targets[f"{prefix}_quadrants"] = Preset(
        corpus or prefix,
        {
            "name": "quadrant",
            "quadrants": ["valence", "arousal"],
            "threshold": {name: middle[name] for name in ("valence", "arousal")},
            **place,
        },
        "high and low valence and arousal together, split as each of them",
    )
    return targets


def _traced(corpus: str, prefix: str, traces: Mapping[str, str], within: list[str]) -> dict[str, Preset]:
    """Return a target per trace, summed up over the window."""
    place: dict[str, Any] = {"within": within} if within else {}
    return {
        f"{prefix}_{name}_trace": Preset(
            corpus, {"name": name, "trace": trace, **place}, f"{name} as it was rated while it ran, mean of the window"
        )
        for name, trace in traces.items()
    }


_FOUR = ("valence", "arousal", "dominance", "liking")
_NINE = "rated from 1 to 9"

TARGETS: Mapping[str, Preset] = {
    **_biovid(),
    "wesad_stress": Preset(
        "wesad",
        {"name": "stress", "events": {"baseline": ["baseline"], "stress": ["stress"]}},
        "baseline against the stress test",
    ),
    "wesad_stress_binary": Preset(
        "wesad",
        {"name": "stress", "events": {"no_stress": ["baseline", "amusement"], "stress": ["stress"]}},
        "baseline and amusement together against the stress test",
    ),
    "wesad_three": Preset(
        "wesad",
        {"name": "state", "events": {state: [state] for state in ("baseline", "stress", "amusement")}},
        "baseline, stress and amusement",
    ),
    **_rated("deap", _FOUR, dict.fromkeys(_FOUR, 5.0), _NINE, ["trial"]),
    "deap_fear": Preset(
        "deap",
        {"name": "fear", "levels": "deap_fear", "within": ["trial"]},
        "four levels of fear from valence, arousal and dominance, without the overlaps of the published table",
    ),
    "deap_fear_printed": Preset(
        "deap",
        {"name": "fear", "levels": "deap_fear_printed", "within": ["trial"]},
        "four levels of fear as published: a rating on a shared edge belongs to none",
    ),
    **_rated("amigos", _FOUR, dict.fromkeys(_FOUR, 5.0), _NINE, ["video"]),
    **_rated("dreamer", _FOUR[:3], dict.fromkeys(_FOUR[:3], 3.0), "rated from 1 to 5", ["film"]),
    **_rated("mahnob", _FOUR[:3], dict.fromkeys(_FOUR[:3], 5.0), _NINE, ["clip"], corpus="mahnob-hci"),
    **_traced("mahnob-hci", "mahnob", {"valence": "valence"}, ["clip"]),
    **_traced(
        "case", "case", {"valence": "valence", "arousal": "arousal"}, [f"video_{number}" for number in range(1, 9)]
    ),
    **_traced("k-emocon", "k_emocon", {"valence": "valence_self", "arousal": "arousal_self"}, ["debate"]),
    **_rated("ascertain", ("valence", "arousal"), {"valence": 0.0, "arousal": 3.0}, "middle of its scale", ["clip"]),
    "ascertain_fear": Preset(
        "ascertain",
        {"name": "fear", "levels": "ascertain_fear", "within": ["clip"]},
        "four levels of fear from five ratings, with the exchanged columns of the published table put right",
    ),
    "ascertain_fear_printed": Preset(
        "ascertain",
        {"name": "fear", "levels": "ascertain_fear_printed", "within": ["clip"]},
        "four levels of fear as published; only the level none can be met",
    ),
    "stressid_stress": Preset(
        "stressid",
        {"name": "stress", "events": {"not_stressed": ["not_stressed"], "stressed": ["stressed"]}},
        "tasks that the subject said were stressful against the others",
    ),
    "stressid_three": Preset(
        "stressid",
        {
            "name": "state",
            "levels": {
                "relaxed": {"affect3": "[0, 0]"},
                "intermediate": {"affect3": "[1, 1]"},
                "stressed": {"affect3": "[2, 2]"},
            },
        },
        "relaxed, intermediate and stressed",
    ),
    "seed_three": Preset(
        "seed",
        {"name": "emotion", "events": {name: [name] for name in ("negative", "neutral", "positive")}},
        "what the film clips were chosen to arouse",
    ),
    "seed_iv_four": Preset(
        "seed-iv",
        {"name": "emotion", "events": {name: [name] for name in ("neutral", "sad", "fear", "happy")}},
        "what the film clips were chosen to arouse",
    ),
    "emopain_protective": Preset(
        "emopain",
        {"name": "protective", "events": {name: [name] for name in ("not_protective", "protective")}},
        "whether raters saw protective behaviour",
    ),
    "eegmat_load": Preset(
        "eegmat",
        {"name": "load", "events": {"rest": ["rest"], "arithmetic": ["task"]}},
        "rest against mental arithmetic",
    ),
    "stress_predict_stress": Preset(
        "stress-predict",
        {"name": "stress", "events": {"rest": ["rest"], "stress": ["stroop", "interview", "hyperventilation"]}},
        "rest against the three stressors",
    ),
    "cogwear_load": Preset(
        "cogwear",
        {"name": "load", "events": {"baseline": ["baseline"], "load": ["cognitive_load"]}},
        "baseline against cognitive load",
    ),
}
"""Targets by name, for ``target: biovid_t0_t4`` in a study, or ``target: {preset: deap_valence, threshold: ...}``."""
