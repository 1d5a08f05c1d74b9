"""Export: a network leaves Limbeck as a file that runs without it.

:func:`to_onnx` writes an ONNX file with an input per modality, and refuses one that does not compute the same.
"""

from limbeck.export.onnx import to_onnx

__all__ = ["to_onnx"]
