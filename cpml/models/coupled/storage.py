"""Fitted coupled models as JSON text: nothing is executed on reading, another version is refused, and every
value is checked, so that what is read is a model that could have been fitted.

| key | value |
|---|---|
| format, material | version of this table; name of the material |
| parameters | of CoupledClassifier, `numerics` with all numbers of `Numerics` |
| families | of the material, in the order of the vector |
| further | parameters beyond those of every model, in the order of the vector |
| rise | of the strength of every family over a test, mean over initial, as the prior expects it |
| frequency | traces per plane and share of variants, 0 to 1 |
| vector | parameters on the real line, within `numerics.bound` prior widths |
| covariance | of them: symmetric, no negative variance |
| ratios | 5 %, 50 % and 95 % quantiles of the log strength ratio of every family |
| footprints | expected number of every family |
| draws | of the parameters by the sampler; none where it did not run |
| slow_laws | of those that reports taught: shift, spread, number of reports |
| strengths | table for people, the one that vector and ratios give |
| correction | null, or inputs (names, groups, usual values) and, by mechanism, strength and trees |
"""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, astuple, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cpml.crystallography.materials import Material
from cpml.errors import CpmlError
from cpml.files import write_json
from cpml.models.coupled.learning.boosting import LEAF, Tree
from cpml.models.coupled.learning.correction import GROUPS, MECHANISMS, STRENGTHS, Correction
from cpml.models.coupled.posterior import strength_table
from cpml.models.coupled.prior import FURTHER, Prior
from cpml.models.coupled.slow_laws import Learned, factors, literature
from cpml.models.mechanics.grain_stress import SCHEMES
from cpml.models.numerics import Numerics

FORMAT = "cpml-coupled-9"
MAX_BYTES = 10_000_000
"""A model is some kB; more is none."""
MOST = 1_000_000
"""Above all counts (draws, iterations, cells) that anybody has reason to ask for."""
FARTHEST = 1e6
"""On the real line: far beyond what the bounds of any parameter allow."""
MOST_RISE = 1000.0
"""Of a strength within a test."""
MOST_DRAWS = 10_000
MOST_INPUTS = 200
MOST_NODES = 2000
"""Of a tree: what a few hundred footprints carry has tens."""

Check = Callable[[str, Any], None]
"""Raises _Wrong for a value that a key may not have."""


class _Wrong(Exception):
    """(key, what is expected): becomes a CpmlError that names the file."""


def write_model(model: Any, path: str | Path) -> None:
    """Write a fitted CoupledClassifier (a class that itself imports this module)."""
    strengths = model.strengths_.astype(object).where(model.strengths_.notna(), None)
    content = {
        "format": FORMAT,
        "parameters": model.get_params() | {"numerics": asdict(model.numerics)},
        "families": list(model.prior_.families),
        "further": list(model.prior_.further),
        "rise": list(model.prior_.rise),
        "material": model.prior_.material.name,
        "frequency": list(model.frequency_),
        "vector": model.vector_.tolist(),
        "covariance": model.covariance_.tolist(),
        "ratios": model.ratios_.tolist(),
        "footprints": model.footprints_.tolist(),
        "draws": model.draws_.tolist(),
        "slow_laws": {name: list(astuple(known)) for name, known in model.slow_laws_.items()},
        "strengths": strengths.to_dict(orient="list"),
        "correction": _plain(model.correction_),
    }
    write_json(Path(path), content)


def read_model(cls: type, path: str | Path, material: Material) -> Any:
    """A fitted ``cls`` from the file that :func:`write_model` wrote.

    Raises
    ------
    CpmlError : another format or version, another material, a file that is no saved model, or a value that no
        fit gives; the message names the key
    """
    content = _json(Path(path))
    for key, expected in (("format", FORMAT), ("material", material.name)):
        if content.get(key) != expected:
            raise CpmlError(
                f"{path}: {key}: {content.get(key)!r:.60}, expected {expected!r}; fit the model again"
            )
    try:
        return _model(cls, content, material)
    except _Wrong as error:
        key, expected = error.args
        raise CpmlError(f"{path}: not a saved coupled model: {key}: expected {expected}") from None


def _model(cls: type, content: dict, material: Material) -> Any:
    _keys("", content, {"format", "material", *_FIELDS})
    for key, check in _FIELDS.items():
        check(key, content[key])
    names = content["families"]
    if len(set(names)) != len(names) or set(names) - set(material.families):
        raise _Wrong("families", f"each once, of {', '.join(material.families)}")
    numerics = Numerics(**content["parameters"]["numerics"])
    model = cls(**content["parameters"] | {"numerics": numerics})
    further = tuple(content["further"])
    if further != tuple(name for name in FURTHER if name in further):
        raise _Wrong("further", f"each once, in the order {', '.join(FURTHER)}")
    _list(_number(1 / MOST_RISE, MOST_RISE), len(names), len(names))("rise", content["rise"])
    prior = Prior(material, tuple(names), further, tuple(map(float, content["rise"])))
    model.prior_ = prior
    model.frequency_ = tuple(map(float, content["frequency"]))
    model.vector_ = torch.tensor(_vector(content["vector"], prior, numerics))
    model.covariance_ = _covariance(content["covariance"], len(prior.names))
    model.slow_laws_ = _slow_laws(content["slow_laws"], material, numerics)
    model.theta_ = prior.named(model.vector_) | factors(model.slow_laws_)
    model.ratios_ = _ratios(content["ratios"], prior)
    _list(_number(0, MOST), len(names), len(names))("footprints", content["footprints"])
    model.footprints_ = np.array(content["footprints"], float)
    _list(_anything, 0, MOST_DRAWS)("draws", content["draws"])
    draws = [_vector(values, prior, numerics, f"draws[{k}]") for k, values in enumerate(content["draws"])]
    model.draws_ = np.array(draws, float).reshape(len(draws), len(prior.names))
    model.strengths_ = strength_table(prior, model.vector_, model.ratios_)
    _check_strengths(content["strengths"], model.strengths_)
    model.correction_ = _correction(content["correction"])
    return model


def _json(path: Path) -> dict:
    """The object in a file; neither NaN nor infinity, no number beyond all fractions, no key twice."""

    def no_number(word: str) -> None:
        raise ValueError(f"{word} is no number")

    def whole(word: str) -> int:
        if len(word) > 300:  # larger than any fraction
            raise ValueError(f"a number of {len(word)} digits")
        return int(word)

    def once(pairs: list[tuple[str, Any]]) -> dict:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key appears twice")
        return found

    try:
        if path.stat().st_size > MAX_BYTES:
            raise CpmlError(f"{path}: larger than {MAX_BYTES // 1_000_000} MB, not a saved coupled model")
        text = path.read_text(encoding="utf-8")
        content = json.loads(text, parse_constant=no_number, parse_int=whole, object_pairs_hook=once)
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CpmlError(f"{path}: not a saved coupled model ({reason})") from None
    if not isinstance(content, dict):
        raise CpmlError(f"{path}: not a saved coupled model (it holds a {type(content).__name__})")
    return content


def _keys(key: str, found: Any, expected: set[str]) -> None:
    if not isinstance(found, dict) or set(found) != expected:
        raise _Wrong(key or "the file", f"the keys {', '.join(sorted(expected))}")


def _number(low: float, high: float, kind: type = float) -> Check:
    def check(key: str, value: Any) -> None:
        is_number = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
        # a whole number can be too large for a float
        if not is_number or not low <= value <= high:
            word = "a whole number" if kind is int else "a number"
            raise _Wrong(key, f"{word} from {low:g} to {high:g}")

    return check


def _choice(*options: Any) -> Check:
    def check(key: str, value: Any) -> None:
        # True equals 1, which is no option where True is one
        if not any(type(value) is type(option) and value == option for option in options):
            raise _Wrong(key, f"one of {', '.join(map(str, options))}")

    return check


def _list(item: Check, low: int, high: int) -> Check:
    def check(key: str, value: Any) -> None:
        if not isinstance(value, list) or not low <= len(value) <= high:
            raise _Wrong(
                key, f"a list of {low} to {high} values" if low < high else f"a list of {low} values"
            )
        for number, entry in enumerate(value):
            item(f"{key}[{number}]", entry)

    return check


def _mapping(entries: dict[str, Check]) -> Check:
    def check(key: str, value: Any) -> None:
        _keys(key, value, set(entries))
        for name, entry in entries.items():
            entry(f"{key}.{name}", value[name])

    return check


def _text(key: str, value: Any) -> None:
    if not isinstance(value, str):
        raise _Wrong(key, "text")


def _anything(key: str, value: Any) -> None:
    """Checked by what is made of it."""


_BOOLEAN = _choice(True, False)
_FIELDS: dict[str, Check] = {
    "parameters": _mapping(
        {
            "scheme": _choice("auto", *SCHEMES),
            "edges": _BOOLEAN,
            "free_surface": _BOOLEAN,
            "n_draws": _number(1, MOST, int),
            "residual": _choice("auto", True, False),
            "scatter": _BOOLEAN,
            "samples": _number(0, MOST_DRAWS, int),
            "max_iter": _number(1, MOST, int),
            "warm_start": _BOOLEAN,
            "seed": _number(0, 2**32 - 1, int),
            "numerics": _mapping(
                {
                    field.name: _number(1e-300, MOST, int if field.type is int else float)
                    for field in fields(Numerics)
                }
            ),
        }
    ),
    "families": _list(_text, 1, 100),
    "further": _list(_choice(*FURTHER), 0, len(FURTHER)),
    "rise": _anything,
    "frequency": _list(_number(0, 1), 2, 2),
    "slow_laws": _anything,
    "vector": _anything,
    "covariance": _anything,
    "ratios": _anything,
    "footprints": _anything,
    "draws": _anything,
    "strengths": _anything,
    "correction": _anything,
}


def _vector(values: Any, prior: Prior, numerics: Numerics, key: str = "vector") -> NDArray:
    """The parameters, where a search within `numerics.bound` prior widths can have ended."""
    centre = prior.centre().numpy()
    _list(_number(-FARTHEST, FARTHEST), len(centre), len(centre))(key, values)
    vector = np.array(values, dtype=float)
    far = np.abs(vector - centre) / prior.width() > numerics.bound * (1 + 1e-9)
    if far.any():
        where = int(far.argmax())
        raise _Wrong(f"{key}[{where}]", f"within {numerics.bound:g} prior widths of {centre[where]:.4g}")
    return vector


def _ratios(values: Any, prior: Prior) -> NDArray:
    k = len(prior.families)
    _list(_list(_number(-1e3, 1e3), 3, 3), k, k)("ratios", values)
    ratios = np.array(values, dtype=float)
    for number, row in enumerate(ratios):
        if (np.diff(row) < 0).any() or (number == prior.reference and row.any()):
            raise _Wrong(f"ratios[{number}]", "three that rise; zeros for the reference")
    return ratios


def _slow_laws(values: Any, material: Material, numerics: Numerics) -> dict[str, Learned]:
    """What reports taught of the slow laws of the material, where a grid within `numerics.bound` can end."""
    known = literature(material)
    if not isinstance(values, dict) or not set(values) <= set(known):
        raise _Wrong("slow_laws", f"of {', '.join(known) or 'nothing'}, the laws that the material has")
    found = {}
    for name, entry in values.items():
        key, most = f"slow_laws.{name}", numerics.bound * known[name].spread
        _list(_number(-MOST, MOST), 3, 3)(key, entry)
        _number(-most, most)(f"{key}[0]", entry[0])
        _number(0, most)(f"{key}[1]", entry[1])
        _number(1, MOST, int)(f"{key}[2]", entry[2])
        found[name] = Learned(float(entry[0]), float(entry[1]), entry[2])
    return found


def _covariance(values: Any, n: int) -> NDArray:
    _list(_list(_number(-1e6, 1e6), n, n), n, n)("covariance", values)
    covariance = np.array(values, dtype=float)
    scale = np.abs(covariance).max()
    if np.abs(covariance - covariance.T).max() > 1e-9 * scale:
        raise _Wrong("covariance", "a symmetric matrix")
    try:
        np.linalg.cholesky(covariance + 1e-12 * np.eye(n))  # as when parameters are drawn
    except np.linalg.LinAlgError:
        raise _Wrong("covariance", "no negative variance") from None
    return covariance


def _plain(correction: Correction) -> dict | None:
    """A correction as values for JSON; None where the law is alone."""
    if not correction.is_open:
        return None
    mechanisms = {
        name: {"strength": strength, "trees": [_plain_tree(tree) for tree in correction.trees[name]]}
        for name, strength in correction.strength.items()
    }
    inputs = {"names": list(correction.names), "groups": list(correction.groups)}
    return inputs | {"usual": correction.usual.tolist(), "mechanisms": mechanisms}


def _plain_tree(tree: Tree) -> dict:
    return {field.name: getattr(tree, field.name).tolist() for field in fields(Tree)}


def _correction(values: Any) -> Correction:
    """What :func:`_plain` wrote."""
    if values is None:
        return Correction()
    key = "correction"
    _keys(key, values, {"names", "groups", "usual", "mechanisms"})
    _list(_text, 1, MOST_INPUTS)(f"{key}.names", values["names"])
    n = len(values["names"])
    _list(_choice(*GROUPS), n, n)(f"{key}.groups", values["groups"])
    _list(_number(-1e12, 1e12), n, n)(f"{key}.usual", values["usual"])
    found, where = values["mechanisms"], f"{key}.mechanisms"
    if not isinstance(found, dict) or not found or set(found) - set(MECHANISMS):
        raise _Wrong(where, f"some of {', '.join(MECHANISMS)}")
    for name, entry in found.items():
        own = f"{where}.{name}"
        _mapping({"strength": _choice(*STRENGTHS), "trees": _list(_tree(n), 1, MOST_NODES)})(own, entry)
    return Correction(
        tuple(values["names"]),
        tuple(values["groups"]),
        np.array(values["usual"], float),
        {name: entry["strength"] for name, entry in found.items()},
        {name: tuple(_read_tree(tree) for tree in entry["trees"]) for name, entry in found.items()},
    )


def _tree(n_inputs: int) -> Check:
    """Of nodes whose children stand behind them, so that every path ends."""

    def check(key: str, value: Any) -> None:
        _keys(key, value, {field.name for field in fields(Tree)})
        _list(_number(LEAF, n_inputs - 1, int), 1, MOST_NODES)(f"{key}.feature", value["feature"])
        n = len(value["feature"])
        for name in ("threshold", "value"):
            _list(_number(-1e12, 1e12), n, n)(f"{key}.{name}", value[name])
        for name in ("left", "right"):
            _list(_number(LEAF, n - 1, int), n, n)(f"{key}.{name}", value[name])
            for node, (feature, child) in enumerate(zip(value["feature"], value[name], strict=True)):
                if (child != LEAF) if feature == LEAF else (child <= node):
                    raise _Wrong(f"{key}.{name}[{node}]", f"{LEAF} in a leaf, else a node behind {node}")

    return check


def _read_tree(values: dict) -> Tree:
    kinds = {"feature": int, "left": int, "right": int, "threshold": float, "value": float}
    return Tree(**{name: np.array(values[name], kind) for name, kind in kinds.items()})


def _check_strengths(written: Any, table: Any) -> None:
    """_Wrong where the table for people is not the one that vector and ratios give."""
    _keys("strengths", written, set(table))
    for name, column in table.items():
        key, expected = f"strengths.{name}", [None if value != value else value for value in column]
        values = written[name]
        if not isinstance(values, list) or len(values) != len(expected):
            raise _Wrong(key, f"a list of {len(expected)} values")
        for number, (value, wanted) in enumerate(zip(values, expected, strict=True)):
            if value == wanted:
                continue
            is_near = (
                isinstance(value, int | float)
                and isinstance(wanted, float)
                and math.isclose(value, wanted, rel_tol=1e-6)  # the formula in another library of algebra
            )
            if not is_near:
                raise _Wrong(f"{key}[{number}]", f"{wanted}, by vector and ratios")
