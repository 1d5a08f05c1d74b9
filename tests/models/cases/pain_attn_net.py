"""PainAttnNet."""

from limbeck.models import InputShape

from . import Case, Count

EDA = {"eda": InputShape(1, 2816, 512.0)}

CASES = {
    "pain_attn_net": Case(
        {"eda": InputShape(1, 16, 4.0), "bvp": InputShape(2, 64, 64.0)},
        {"mscn": (24, 24), "se": (16, 24), "encoder": (16, 24), "flat": (384,)},
        {"width": 4, "hidden": 16, "steps": 24, "heads": 4, "depth": 1, "feed_forward": 8},
    )
}

SQUEEZE_EXCITE = 3 * 60
"""Three hidden units more than released."""

BIASES = 60 + 2 * 6 * 30
"""Of convolutions in front of batch normalisation."""

COUNTS = [
    Count("pain_attn_net", EDA, 2, 558_308, {"as_released": True}),
    Count("pain_attn_net", EDA, 2, 558_308 + SQUEEZE_EXCITE - BIASES),
]
