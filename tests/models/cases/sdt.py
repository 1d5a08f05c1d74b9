"""SDT: sdt, small and at the sizes of two corpora of conversations."""

from limbeck.models import InputShape

from . import Case, Count

SHAPES = {"eda": InputShape(1, 4, 4.0), "acc": InputShape(3, 9, 8.0)}
SMALL = {"width": 8, "heads": 2, "frames": 4}

CASES = {
    "sdt": Case(SHAPES, {"eda": (4, 8), "acc": (4, 8), "fused": (4, 8), "embedding": (8,)}, SMALL, n_steps=2),
}


def conversation(audio: int, speakers: int) -> dict[str, InputShape]:
    """Return what the published network reads of 100 utterances."""
    channels = {"text": 1024, "visual": 342, "audio": audio, "speaker": speakers}
    return {name: InputShape(count, 100, 1.0) for name, count in channels.items()}


PUBLISHED = {"width": 1024, "heads": 8, "frames": 100, "answers": True, "as_released": True}

COUNTS = [
    Count("sdt", conversation(1582, 2), 6, 79_687_704, {**PUBLISHED, "n_speakers": 2}, n_steps=100),
    Count("sdt", conversation(300, 9), 7, 68_949_020, {**PUBLISHED, "n_speakers": 9, "gate": "identity"}, n_steps=100),
]
