"""YAML as people mean it, and without a way to run code."""

from __future__ import annotations

import re
from typing import Any

import yaml

__all__ = ["StrictLoader", "load_yaml"]


class StrictLoader(yaml.SafeLoader):
    """YAML in which a key given twice is an error instead of the last one winning, and in which,
    as in YAML 1.2, only ``true`` and ``false`` are booleans: by YAML 1.1 the key ``on`` and the
    keywords ``yes`` and ``no`` would silently become some."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:bool"]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key if isinstance(key, str) else repr(key))
        return super().construct_mapping(node, deep=deep)


StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def load_yaml(text: str) -> Any:
    """The data in a YAML (or JSON) text. Raises ``yaml.YAMLError``."""
    return yaml.load(text, Loader=StrictLoader)
