"""YAML as Limbeck reads it, in studies and in options of the command line.

Plain values only. ``1e-3`` is a number and ``010`` a name, as in YAML 1.2: a subject called 010 is not the number 8.
``true`` and ``false`` are what they say; ``on``, ``off``, ``yes`` and ``no`` are names. A key stands in a mapping once.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

__all__ = ["read_yaml", "write_yaml"]

_SIGNS = list("-+.0123456789")
_WHOLE = r"[-+]?(?:0|[1-9][0-9]*)"
_DECIMAL = rf"(?:{_WHOLE}\.[0-9]*|[-+]?\.[0-9]+|{_WHOLE}(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf)|\.(?:nan|NaN)"


_OLD = ("int", "float", "timestamp", "bool")
"""Tags that YAML 1.1 gives to more names than YAML 1.2."""


class _Loader(yaml.SafeLoader):
    """Without what YAML 1.1 alone reads into names: octal and sexagesimal numbers (12:30), dates, and yes for true."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (PyYAML's own way)
        sign: [(tag, form) for tag, form in forms if tag.rpartition(":")[2] not in _OLD]
        for sign, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class _Dumper(yaml.SafeDumper):
    """Quotes a name that we or any other reader of YAML would take for a number."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(rf"(?:{_DECIMAL})$"), _SIGNS)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(rf"{_WHOLE}$"), _SIGNS)
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(rf"(?:{_DECIMAL})$"), _SIGNS)


def _unique_mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    """Build a mapping; a key that stands there twice would silently replace the first."""
    keys = [(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
    for position, key in enumerate(keys):
        if key in keys[:position] and key[0] != "tag:yaml.org,2002:merge":
            raise yaml.constructor.ConstructorError(
                "while reading a mapping", node.start_mark, f"the key '{key[1]}' stands there twice", node.start_mark
            )
    return dict(loader.construct_mapping(node, deep=True))


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def read_yaml(text: str) -> Any:
    """Return what YAML says.

    Raises
    ------
    yaml.YAMLError
        It is no YAML, or a key stands twice in a mapping.
    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506 (a safe loader)


def write_yaml(value: Any) -> str:
    """Return a value as YAML, mappings in their own order; :func:`read_yaml` gives it back."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
