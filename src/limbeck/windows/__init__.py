"""Windows: recordings cut into stretches of one length, as one labelled array set, cached recording by recording.

:func:`cut` makes the windows of a corpus; :func:`table` lists them, :func:`view` selects modalities and channels,
:func:`save` and :func:`load` keep them. The set is an ``xarray.Dataset`` with, for each modality ``m``,

* ``m``: float32, ``(window, m_channel, m_time)``, or ``(window, m_feature)`` for features; attributes ``unit``,
  ``channels``, and ``rate`` (samples) or ``features`` (features). NaN where a recording lacks the modality;
* ``m_present``: bool, ``(window,)``;

the coordinates ``subject session trial condition`` (codes into their attribute ``categories``), ``segment`` (number of
the labelled segment in its recording, from 0 in time order; -1 for calibration outside of them), ``start`` (seconds
from the recording's start), ``order`` (of the recording) and ``calibration``; and ``target`` (class codes or values).
"""

from limbeck.windows.assembling import cut
from limbeck.windows.plan import Calibration
from limbeck.windows.reading import decode, modalities, table, view
from limbeck.windows.storing import load, save

__all__ = ["Calibration", "cut", "decode", "load", "modalities", "save", "table", "view"]
