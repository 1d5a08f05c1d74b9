"""Export: a network leaves Limbeck as a file that runs without it.

:func:`to_onnx` writes an ONNX file with an input per modality, and refuses one that does not compute the same;
:func:`open_session` runs it.
"""

from limbeck.export.onnx import open_session, to_onnx

__all__ = ["open_session", "to_onnx"]
