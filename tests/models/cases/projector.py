"""Projectors are no models of their own."""

from . import Case

CASES: dict[str, Case] = {}
