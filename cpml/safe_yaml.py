"""YAML from strangers: plain data only, no duplicate keys, no aliases, a size limit,
numbers like 1e-3 read as numbers.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from cpml.errors import DatasetError, ParameterError

MAX_BYTES = 2_000_000
LARGEST = 10**300
"""Of whole numbers: larger ones cannot be compared with fractions."""


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.YAMLError(
                f"line {mark.line + 1}: aliases (*name) are not used here: write the value out"
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge" or not isinstance(key_node, yaml.ScalarNode):
                raise yaml.YAMLError(f"line {key_node.start_mark.line + 1}: a key must be a plain word")
            if key_node.value in seen:
                raise yaml.YAMLError(
                    f"line {key_node.start_mark.line + 1}: key {key_node.value!r} appears twice"
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node):
        value = super().construct_yaml_int(node)
        if abs(value) > LARGEST:
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: a number of {len(node.value)} digits")
        return value


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)

# YAML 1.1, which PyYAML follows, takes 1e-3 for text
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


def read_yaml(path: Path) -> dict:
    """The mapping in a YAML file of at most 2 MB; DatasetError names file and line of what is wrong."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DatasetError(
                f"{path}: larger than {MAX_BYTES // 1_000_000} MB, not a description of a data set"
            )
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"{path}: not valid YAML: {reason}") from None
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: expected 'key: value' lines, found {type(content).__name__}")
    return content


def read_value(text: str, *, what: str):
    """One YAML value, as a command line gives it: 3, 1e-3, true, [1, 2], text."""
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ParameterError(f"{what}: {text!r:.200} cannot be read: {reason}") from None
