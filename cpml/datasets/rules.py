"""Rules for the values of a description: how one is checked, and how JSON schema and a table say it.

A rule is called with a value and returns it as it is used, or raises `Wrong` with all that is wrong inside.
It carries the same in the words of JSON schema (`json`) and in plain ones (`words`), so that the check, the
schema for editors and the table of keys come from one place. What JSON schema cannot say (strains that
ascend, names that differ) is in the check alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from difflib import get_close_matches
from numbers import Real
from typing import Any

REQUIRED = ...
"""Default of a key that has to be given."""


class Wrong(Exception):
    """Mistakes in a value, each (key inside the value, the value there or None, what is expected)."""

    def __init__(self, *found: tuple[str, object, str]):
        super().__init__(*found)
        self.found = found


@dataclass(frozen=True)
class Rule:
    """What a value may be.

    Attributes
    ----------
    check : returns the value as it is used, or raises `Wrong`
    json : the same as JSON schema
    words : the same in a few words
    keys : of a mapping, or of the mappings in a list
    """

    check: Callable[[Any], Any]
    json: dict[str, Any]
    words: str
    keys: Mapping[str, Key] = field(default_factory=dict)

    def __call__(self, value: object) -> Any:
        """The value as it is used."""
        return self.check(value)


@dataclass(frozen=True)
class Key:
    """One key of a mapping.

    Attributes
    ----------
    rule : what its value may be
    meaning : one or two sentences for a reader
    default : what stands where the key is left out; `REQUIRED`: it has to be given; None: nothing
    example : as it is written in the file
    """

    rule: Rule
    meaning: str
    default: Any = None
    example: str = ""

    @property
    def json(self) -> dict[str, Any]:
        """JSON schema of the value, with meaning, default and example."""
        told = {"default": self.default} if self.default not in (None, REQUIRED) else {}
        return {**self.rule.json, "description": self.meaning.replace("`", ""), **told}


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Wrong(("", value, "expected text (quote it if it looks like a number or a date)"))
    return value.strip()


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise Wrong(("", value, "expected true or false"))
    return value


text = Rule(_text, {"type": "string", "pattern": r"\S"}, "text")
"""Text that is not empty, without spaces around it."""
free_text = Rule(lambda value: _text(value) if value != "" else "", {"type": "string"}, "text")
"""Any text."""
boolean = Rule(_boolean, {"type": "boolean"}, "`true` or `false`")


def pattern(expression: str, expected: str, words: str = "text") -> Rule:
    """Text, without spaces around it, that matches a regular expression as a whole."""

    def check(value: object) -> str:
        found = value.strip() if isinstance(value, str) else ""
        if not re.fullmatch(expression, found):
            raise Wrong(("", value, f"expected {expected}"))
        return found

    return Rule(check, {"type": "string", "pattern": rf"^\s*{expression}\s*$"}, words)


def number(low: float, high: float, kind: type = float) -> Rule:
    """A number, or whole number, in a range."""
    word = "an integer" if kind is int else "a number"
    span = f"from {low:g} to {high:g}"

    def check(value: object) -> float:
        is_number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or not low <= value <= high or kind(value) != value:
            raise Wrong(("", value, f"expected {word} {span}"))
        return kind(value)

    json = {"type": "integer" if kind is int else "number", "minimum": low, "maximum": high}
    return Rule(check, json, f"{word.split()[1]} {_plain(span)}")


def choice(*options: str) -> Rule:
    """One of a few words."""
    # YAML 1.1 reads no and off as false
    false_is_none = "none" in options

    def check(value: object) -> str:
        value = "none" if value is False and false_is_none else value
        if not isinstance(value, str) or value not in options:
            close = get_close_matches(str(value), options, n=1)
            hint = f": did you mean {close[0]!r}?" if close else ""
            raise Wrong(("", value, f"expected one of {', '.join(options)}{hint}"))
        return value

    allowed = [*options, *([False] if false_is_none else [])]
    return Rule(check, {"enum": allowed}, " | ".join(f"`{option}`" for option in options))


def list_of(item: Rule, minimum: int = 1, exactly: int | None = None) -> Rule:
    """A list, each entry checked by `item`; `exactly` so many, where it says."""

    def check(value: object) -> list:
        if not isinstance(value, list) or len(value) < minimum:
            raise Wrong(("", value, f"expected a list of at least {minimum}"))
        found, wrong = [], []
        for n, entry in enumerate(value):
            with _gathered(wrong, f"[{n}]"):
                found.append(item(entry))
        if wrong:
            raise Wrong(*wrong)
        if exactly is not None and len(found) != exactly:
            raise Wrong(("", value, f"expected {exactly}, found {len(found)}"))
        return found

    json: dict[str, Any] = {"type": "array", "items": item.json, "minItems": exactly or minimum}
    json |= {"maxItems": exactly} if exactly else {}
    count = f"{exactly}" if exactly else f"at least {minimum}" if minimum > 1 else ""
    words = " ".join(word for word in ("list of", count, item.words) if word)
    return Rule(check, json, words, item.keys)


def mapping(
    keys: Mapping[str, Key],
    *,
    fill: bool = False,
    also: Callable[[dict], None] | None = None,
    json: dict[str, Any] | None = None,
    words: str = "",
) -> Rule:
    """A mapping of known keys, each value checked by its own rule.

    Parameters
    ----------
    fill : put in the defaults of keys that are left out
    also : called with the checked mapping: conditions between its keys; raises `Wrong`
    json : the same conditions as JSON schema
    """

    def check(value: object) -> dict:
        if not isinstance(value, dict):
            raise Wrong(("", value, f"expected 'key: value' lines with {', '.join(keys)}"))
        found, wrong = gather(keys, value, fill=fill)
        if wrong:
            raise Wrong(*wrong)
        if also is not None:
            also(found)
        return found

    return Rule(check, {**json_of(keys), **(json or {})}, words or _braces(keys), keys)


def gather(
    keys: Mapping[str, Key], value: dict, *, fill: bool = False
) -> tuple[dict[str, Any], list[tuple[str, object, str]]]:
    """What is right in a mapping, checked, and all that is wrong: unknown keys, missing ones, values."""
    wrong: list[tuple[str, object, str]] = []
    for key in value:
        if key not in keys:
            close = get_close_matches(str(key), keys, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            wrong.append((f".{key}", value[key], f"unknown key; {hint}known: {', '.join(keys)}"))
    wrong += [
        (f".{name}", None, "this key is missing")
        for name, key in keys.items()
        if key.default is REQUIRED and name not in value
    ]
    found: dict[str, Any] = {}
    if fill:
        left_out = [name for name in keys if name not in value]
        found = {
            name: deepcopy(keys[name].default)
            for name in left_out
            if keys[name].default not in (None, REQUIRED)
        }
    for name, entry in value.items():
        if name in keys:
            with _gathered(wrong, f".{name}"):
                found[name] = keys[name].rule(entry)
    return found, wrong


def json_of(keys: Mapping[str, Key]) -> dict[str, Any]:
    """JSON schema of a mapping of these keys and no others."""
    required = [name for name, key in keys.items() if key.default is REQUIRED]
    return {
        "type": "object",
        "properties": {name: key.json for name, key in keys.items()},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _plain(span: str) -> str:
    return re.sub(r"e([+-])0*(\d)", lambda m: f"e{m[1].strip('+')}{m[2]}", span)


class _gathered:
    """Adds what is wrong inside the block to a list, with the key of the place."""

    def __init__(self, wrong: list, key: str):
        self.wrong, self.key = wrong, key

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Wrong):
            return False
        self.wrong += [(self.key + inner, value, reason) for inner, value, reason in error.found]
        return True


def _braces(keys: Mapping[str, Key]) -> str:
    return f"{{{', '.join(keys)}}}"
