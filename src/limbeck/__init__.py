"""Limbeck trains models that read cheap physiological sensors by letting models that read rich ones teach them."""

__version__ = "0.1.0"
