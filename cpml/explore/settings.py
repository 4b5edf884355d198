"""What the sliders set: the threshold, the load in the plane of the map, strengths, the stress of a grain."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cpml.errors import ParameterError
from cpml.load import Load

if TYPE_CHECKING:
    from cpml.datasets.dataset import Dataset

DECLARED = "as declared"
KINDS = ("tension", "compression", "shear", "rolling")
SCHEMES = {"sachs": "mean stress (Sachs)", "affine": "self-consistent (affine)"}
THRESHOLDS = (1.0, 20.0)
"""Degrees that the slider of the segmentation spans."""


@dataclass(frozen=True)
class Settings:
    """One state of the sliders.

    Attributes
    ----------
    threshold : of the segmentation, deg; None: as the data set declares it
    kind : of the load, "tension", "compression", "shear" or "rolling" along `angle`, or "as declared"
    angle : direction of the load in the map, deg counter-clockwise from x as seen on the screen
    strengths : phase name -> family -> strength in multiples of the first family's; what is not there is
        taken from the material file
    scheme : "sachs", every grain under the mean stress, or "affine", grains in the medium that they form
    """

    threshold: float | None = None
    kind: str = DECLARED
    angle: float = 0.0
    strengths: dict[str, dict[str, float]] = field(default_factory=dict)
    scheme: str = "affine"

    def __post_init__(self) -> None:
        low, high = THRESHOLDS
        if self.threshold is not None and not low <= self.threshold <= high:
            raise ParameterError(f"threshold {self.threshold}: choose {low:g} to {high:g} deg")
        if self.kind not in (DECLARED, *KINDS):
            raise ParameterError(f"load {self.kind!r}: choose one of {', '.join((DECLARED, *KINDS))}")
        if self.scheme not in SCHEMES:
            raise ParameterError(f"scheme {self.scheme!r}: choose one of {', '.join(SCHEMES)}")
        ratios = [ratio for families in self.strengths.values() for ratio in families.values()]
        if not math.isfinite(self.angle) or not all(0 < ratio < math.inf for ratio in ratios):
            raise ParameterError("the angle must be a number, and every strength positive")

    @classmethod
    def of(cls, dataset: Dataset) -> Settings:
        """Those of a data set: what it declares, where sliders can show it; tension along x for want of a
        load.
        """
        load = dataset.load
        if load is None:
            return cls(kind="tension")
        in_plane = load.axis is not None and abs(load.axis[2]) < 1e-9
        if load.kind == "shear" and load.plane is not None and abs(load.plane[2]) > 1e-9:
            in_plane = False
        if not in_plane or load.kind not in KINDS:
            return cls()
        assert load.axis is not None
        return cls(kind=load.kind, angle=math.degrees(math.atan2(-load.axis[1], load.axis[0])) % 180.0)

    def load(self, dataset: Dataset) -> Load | None:
        """The load that they mean; its rate is that of the data set. None: none is declared."""
        if self.kind == DECLARED:
            return dataset.load
        turn = math.radians(self.angle)
        cosine, sine = (round(value, 12) for value in (math.cos(turn), math.sin(turn)))
        values = {"kind": self.kind, "axis": [cosine, -sine, 0.0]}
        if self.kind == "shear":
            values["plane"] = [sine, cosine, 0.0]
        if dataset.load is not None:
            values["rate"] = dataset.load.rate
        return Load.from_dict(values)

    def load_name(self, dataset: Dataset) -> str:
        """The load in words."""
        if self.kind != DECLARED:
            where = {0.0: "x", 90.0: "y"}.get(round(self.angle % 180.0, 6), f"{self.angle:g}° to x")
            return f"{self.kind} along {where}{self._reservation(dataset)}"
        return "unknown load" if dataset.load is None else dataset.load.label

    def _reservation(self, dataset: Dataset) -> str:
        """Whether nobody knows the load, or the one that is declared is a guess."""
        if dataset.load is None:
            return " (tried: none is declared)"
        start = Settings.of(dataset)
        is_declared = (self.kind, self.angle) == (start.kind, start.angle)
        return " (assumed)" if dataset.load.assumed and is_declared else ""
