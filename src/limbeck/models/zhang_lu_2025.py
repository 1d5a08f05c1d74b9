"""The networks of Zhang and Lu 2025: EmotionNet with eye movements in the place of skin conductance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from limbeck.models.contract import MODELS, InputShape
from limbeck.models.emotion_net import EmotionNetStudent, EmotionNetTeacher

__all__ = ["ZhangLuStudent", "ZhangLuTeacher"]

EEG, EOG = InputShape(28, 512, 128.0), InputShape(2, 512, 128.0)
"""The windows of EmotionNet, with the horizontal and the vertical eye channel."""


@MODELS.register("zhang_lu_teacher")
class ZhangLuTeacher(EmotionNetTeacher):
    """Zhang and Lu's teacher: the EmotionNet teacher on EEG and eye movements (EOG).

    The paper names a transformer stream per modality, a module that fuses them and a student of the same structure; it
    gives no sizes and no code. The network here is therefore ``emotion_net_teacher``, with all its options and features
    (``eeg_1`` to ``eog_3``, ``imf``, ``hidden``); the convolution across channels spans the channels of EOG, two in
    DEAP. `as_released` speaks of the code of EmotionKD. The view ends in ``eog``, or `student_modality` names it.

    The paper's three variants differ in the training alone: V1 teaches by logits, V2 by logits and ``imf``, V3 adds the
    feedback of the student to the teacher.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Signals, each at its own rate; EEG and EOG as published.
    n_outputs : int
        Number of classes, or 1 for a trace.
    **options
        Those of ``emotion_net_teacher``.
    """

    known_as = "zhang_lu_teacher"
    paper: ClassVar[str] = (
        "Zhang and Lu, Multimodal knowledge distillation for emotion recognition, Brain Sciences 15(7):707, 2025"
    )
    example: ClassVar[Mapping[str, InputShape]] = {"eeg": EEG, "eog": EOG}


@MODELS.register("zhang_lu_student")
class ZhangLuStudent(EmotionNetStudent):
    """Zhang and Lu's student: the EmotionNet student on eye movements (EOG).

    No sizes and no code were published; the network is ``emotion_net_student``, with all its options and features
    (``eog_1`` to ``eog_3``, ``imf``, ``hidden``). `as_released` speaks of the code of EmotionKD.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Signals, each at its own rate; EOG as published.
    n_outputs : int
        Number of classes, or 1 for a trace.
    **options
        Those of ``emotion_net_student``.
    """

    known_as = "zhang_lu_student"
    paper: ClassVar[str] = ZhangLuTeacher.paper
    example: ClassVar[Mapping[str, InputShape]] = {"eog": EOG}
