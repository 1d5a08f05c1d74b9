"""Windows: recordings cut into stretches of one length, as one labelled array set, cached recording by recording.

:func:`cut` makes the windows of a corpus; :func:`table` lists them, :func:`feature_table` with their
features, :func:`view` selects modalities and channels, :func:`with_target` another target,
:func:`save` and :func:`load` keep them, :func:`worst_quality` says how far they can be believed, :func:`with_gap` which
lack some steps of their target. The set is an
``xarray.Dataset`` with, for each modality ``m``,

* ``m``: float32, ``(window, m_channel, m_time)``, or ``(window, m_feature)`` for features; attributes ``unit``,
  ``channels``, and ``rate`` (samples) or ``features`` (features). NaN where a recording lacks the modality;
* ``m_present``: bool, ``(window,)``;
* ``m_valid``, of features: bool, ``(window, m_feature)``; False where a window could not give the feature;
* ``m_quality``: float32, ``(window, m_sensor, quality)``, between 0 and 1, where 1 means that nothing is wrong: how far
  the signal as recorded, before any step, can be believed in that time (:func:`limbeck.signals.window_quality`);
  attributes ``channels`` (as recorded) and ``kinds``. NaN where a kind does not apply or the modality is lacking;

the coordinates ``subject session trial condition`` (codes into their attribute ``categories``), ``segment`` (number of
the labelled segment in its recording, from 0 in time order; -1 for calibration outside of them), ``start`` (seconds
from the recording's start), ``order`` (of the recording) and ``calibration``; and ``target``: class codes or values,
``(window,)``, or, of a trace at a rate, a value per step of the window, ``(window, target_step)``, with the attribute
``rate``; NaN where the trace has none. Each further target ``a`` is a variable ``target_a`` of the same form (steps
along ``target_a_step``); a window has a value of one of the targets at least, and -1 or NaN for those that say nothing
of it. ``segment`` counts windows that only further targets label behind those of the main target's segments.
"""

from limbeck.windows.assembling import NoWindowsError, cut
from limbeck.windows.judging import quality_summary, worst_quality
from limbeck.windows.plan import Calibration
from limbeck.windows.reading import decode, extra_targets, modalities, table, view, with_gap, with_target
from limbeck.windows.storing import load, save
from limbeck.windows.tabulating import feature_table

__all__ = [
    "Calibration",
    "NoWindowsError",
    "cut",
    "decode",
    "extra_targets",
    "feature_table",
    "load",
    "modalities",
    "quality_summary",
    "save",
    "table",
    "view",
    "with_gap",
    "with_target",
    "worst_quality",
]
