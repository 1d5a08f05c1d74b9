"""PKDOT's teacher and student."""

from limbeck.models import InputShape

from . import Case, Count

SHAPES = {"eda": InputShape(1, 8, 4.0), "acc": InputShape(3, 16, 8.0)}
STUDENT = {"eda": SHAPES["eda"]}
SMALL = {"width": 8, "heads": 2, "feed_forward": 12, "frames": 4}
SHARED = {"joint": (8,), "gate": (4,)}

CASES = {
    "pkdot_teacher": Case(SHAPES, {"eda": (4, 8), "acc": (4, 8), **SHARED}, SMALL),
    "pkdot_student": Case(STUDENT, {"eda": (4, 8), "pseudo": (4, 8), **SHARED}, SMALL),
}

TRANSFORMER, T_NET, MT_T_NET, ADAPTER = 5_259_267, 328_832, 7_610_112, 262_912

PUBLISHED = {"width": 512, "feed_forward": 512, "embedded": True, "as_released": True}
EMBEDDINGS = {"video": InputShape(512, 1, 1.0), "emg": InputShape(512, 1, 1.0)}
FACE = {"video": EMBEDDINGS["video"]}

COUNTS = [
    Count("pkdot_teacher", EMBEDDINGS, 2, TRANSFORMER, PUBLISHED),
    Count("pkdot_teacher", EMBEDDINGS, 2, TRANSFORMER + 2 * (ADAPTER + 513 * 2), {**PUBLISHED, "adapters": True}),
    Count("pkdot_student", FACE, 2, TRANSFORMER + T_NET, PUBLISHED),
    Count("pkdot_student", FACE, 2, TRANSFORMER + MT_T_NET, {**PUBLISHED, "t_net": "mt_pkdot"}),
]
