"""The numbers of a run with name, unit and meaning (numbers.yml), intervals beside their values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from cpml.plots.palette import MODEL_LABELS, model_label
from cpml.safe_yaml import read_yaml


@dataclass(frozen=True)
class Number:
    """One number of metrics.json, to be read by people."""

    key: str
    name: str
    unit: str
    meaning: str
    value: float | int | None
    low: float | None = None
    high: float | None = None

    @property
    def text(self) -> str:
        """The value, with its interval."""
        if self.value is None:
            return "–"
        if self.low is None or self.high is None:
            return _shown(self.value)
        return f"{_shown(self.value)} [{_shown(self.low)}, {_shown(self.high)}]"


def explained(metrics: dict[str, float | int | None]) -> list[Number]:
    """Metrics in words, in the order given; ends of intervals stand beside their value, not as rows."""
    found = []
    for key, value in metrics.items():
        stem, sign, phase = _split(key)
        if (match := re.fullmatch(r"(.+)_(low|high)", stem)) and _value_of(match[1], metrics, sign + phase):
            continue
        name, unit, meaning = words(key)
        base = stem.removesuffix("_value")
        low, high = (metrics.get(f"{base}_{end}{sign}{phase}") for end in ("low", "high"))
        found.append(Number(key, name, unit, meaning, value, low, high))
    return found


def words(key: str) -> tuple[str, str, str]:
    """Name, unit and meaning of a metric; the key itself where numbers.yml does not know it."""
    stem, _, phase = _split(key)
    of_phase = f" ({phase})" if phase else ""
    if score := _score(stem):
        return score[0] + of_phase, *score[1:]
    if pattern := _pattern(stem):
        entry = _table()["numbers"][pattern]
        return f"{entry['name']}{_part(stem, pattern)}{of_phase}", entry["unit"], entry["meaning"]
    return key, "", ""


def is_known(key: str) -> bool:
    """Whether numbers.yml has words for a metric."""
    return words(key) != (key, "", "")


def _pattern(stem: str) -> str | None:
    """The key of numbers.yml that fits a metric."""
    return next((pattern for pattern in _table()["numbers"] if fnmatchcase(stem, pattern)), None)


def _split(key: str) -> tuple[str, str, str]:
    """A metric and the further phase that it is about: "n_of_ferrite" -> "n", "_of_", "ferrite"."""
    if "_of_" not in key or key in _table()["numbers"]:
        return key, "", ""
    return key.rpartition("_of_")


def _part(stem: str, pattern: str) -> str:
    """What a * of a pattern stands for, in words."""
    start, star, end = pattern.partition("*")
    if not star:
        return ""
    part = stem.removeprefix(start)[: len(stem) - len(start) - len(end)]
    return f", {part.replace('_', ' ')}"


def _score(stem: str) -> tuple[str, str, str] | None:
    """Words of <mechanism>_<model>_<score>[_low|_high]."""
    scores = "|".join(sorted(_table()["scores"], key=len, reverse=True))
    models = "|".join(sorted(MODEL_LABELS, key=len, reverse=True))
    match = re.fullmatch(rf"(truth_)?(.+?)_({models})_({scores})(_low|_high)?", stem)
    if match is None:
        return None
    truth, mechanism, model, score, end = match.groups()
    entry = _table()["scores"][score]
    against = " against the hidden truth" if truth else ""
    which = {"_low": ", lower end", "_high": ", upper end"}.get(end or "", "")
    name = f"{mechanism.replace('_', ' ')}, {model_label(model)}: {entry['name']}{which}"
    return name, entry["unit"], f"{entry['meaning']}; held-out blocks{against}"


def _value_of(stem: str, metrics: dict, phase: str) -> bool:
    """Whether a value stands between the ends of an interval."""
    return any(f"{stem}{middle}{phase}" in metrics for middle in ("", "_value"))


@lru_cache(maxsize=1)
def _table() -> dict:
    return read_yaml(Path(__file__).with_name("numbers.yml"))


def _shown(value: float | int | None) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
