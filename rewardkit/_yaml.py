"""YAML as people mean it, and without a way to run code."""

from __future__ import annotations

import re
from typing import Any

import yaml

__all__ = ["StrictLoader", "dump_yaml", "load_yaml"]


class StrictLoader(yaml.SafeLoader):
    """YAML in which a key given twice is an error instead of the last one winning, and in which,
    as in YAML 1.2, only ``true`` and ``false`` are booleans: by YAML 1.1 the key ``on`` and the
    keywords ``yes`` and ``no`` would silently become some. Anchors and aliases are refused: nine
    short lines of them stand for a gigabyte."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:bool"]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:
            raise yaml.composer.ComposerError(
                None, None, "anchors (&) and aliases (*) are not read: write it out where it is "
                "wanted", event.start_mark
            )  # fmt: skip
        return super().compose_node(parent, index)

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


class _Dumper(yaml.SafeDumper):
    """Writes what is there twice twice, since aliases are not read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Outside of double quotes YAML folds line breaks into spaces, and it takes more characters for
    # line breaks than one would think (NEL, the separators of Unicode); inside, all are escaped.
    odd = not text.replace("\n", "").isprintable()
    style = '"' if odd else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _write_text)


def dump_yaml(data: Any) -> str:
    """YAML of plain data that :func:`load_yaml` reads."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text
