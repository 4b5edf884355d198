"""The parameters of the coupled model as one vector, what is believed of them before
any footprint, and as one record.

Strengths are means over the strain of a test (`cpml.models.coupled.strengths.hardened`): log-normal about the
literature's initial ones times the rise m that its hardening law expects,

    ln xi ~ N(ln xi_0 + ln m, s^2 + (h (m - 1) / m)^2),

s the spread between sources of a strength, h that of hardening. The other priors
are wide and the same for every material, but for the centre of the rate exponents, which is the material's:
centre and width in the log, in the logit for shares (of twice the value for those below one half), in log(n -
1) for exponents, which stay above 1 where the law is convex, and as they are for the amplitude of the scheme
(1: believe it) and for the neighbours' corrections (0: none). Visible limits are about what microscopes show:
a shear of 0.01, 3 % of a grain twinned, and a lamella one pixel thick.

Some models have parameters more: exponent, limits and steepness of twins where the material has them, and how
often they outgrow their parents, over what the law says, where a map was looked at;
amplitude, corrections and scatter of schemes that claim to know the stress, or ``trust`` in the spread of
those that know how far they may be wrong (1: it is right, as counted on volumes that nobody learned from;
larger: it is too sure); gain and scatter of rotations and of strains (`cpml.models.coupled.motion`), errors
of reports (`cpml.models.coupled.reports`), where the training specimens have them.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.crystallography.materials import Material
from cpml.intervals import NINETY_PERCENT
from cpml.models.coupled.likelihood import Detection
from cpml.models.coupled.motion import MotionRates
from cpml.models.coupled.reports import ReportRates
from cpml.models.mechanics.neighbourhood import PULLS
from cpml.models.specimen.motions import KINDS

PRIORS = {  # name: centre, width
    "n": (20.0, 0.3),
    "variation": (0.15, 0.3),
    "slip_limit": (0.01, 0.7),
    "steepness": (4.0, 0.5),
    "detection": (0.85, 1.0),
    "false_rate": (0.03, 1.0),
    "outlier": (0.03, 1.0),
}
FURTHER = {  # the same, of what only some models have
    "n_twin": (20.0, 0.3),
    "twin_limit": (0.03, 0.7),
    "twin_thickness": (1.0, 0.7),
    "outgrown": (1.0, 1.0),
    "twin_steepness": (1.5, 1.0),
    "amplitude": (1.0, 0.25),
    **dict.fromkeys(PULLS, (0.0, 0.2)),
    "scatter": (0.1, 0.7),
    "trust": (1.0, 0.1),
    "rotation_gain": (1.0, 0.5),
    "rotation_scatter": (0.3, 0.7),
    "strain_gain": (1.0, 0.5),
    "strain_scatter": (0.3, 0.7),
    "report_missed": (0.15, 1.0),
    "report_false": (0.03, 1.0),
}
EXCUSES = ("steepness", "twin_steepness", "false_rate", "outlier")
"""By which footprints need no explanation: a search that is free to call traces false, or twins chance,
before it has looked for strengths that explain them ends where whole families are."""
SHARES = ("detection", "outlier")  # between 0 and 1
HALVES = ("report_missed", "report_false")  # between 0 and one half
PLAIN = ("amplitude", *PULLS)  # any real number
EXPONENTS = ("n", "n_twin")  # above 1; the centre is that of the material


@dataclass(frozen=True)
class Theta:
    """The parameters of the model at one point, whole: what the forward model is asked with."""

    log_strength: Tensor  # (K,) natural log, MPa
    n: Tensor  # rate exponent of slip
    n_twin: Tensor  # and of twins
    variation: Tensor  # r, of the stress within a grain
    amplitude: Tensor  # lambda, of the scheme
    scatter: Tensor  # s_eta
    coefficients: Tensor  # (C,) of the corrections from neighbours, order PULLS
    rates: Detection  # of the observation model
    trust: Tensor  # t, of the scheme's own spread
    motion: dict[str, MotionRates]  # of every kind; of the prior where nothing was learned
    reports: ReportRates  # likewise

    def law_alone(self) -> "Theta":
        """The same without what is not the law: scatter and corrections from neighbours."""
        nothing = torch.zeros((), dtype=self.scatter.dtype)
        none = torch.zeros_like(self.coefficients)
        return replace(self, scatter=nothing, trust=nothing, coefficients=none)


@dataclass(frozen=True)
class Prior:
    """Prior of one material; vector = (log strengths (K,), transformed PRIORS and those of FURTHER that the
    model has).
    """

    material: Material
    families: tuple[str, ...]
    further: tuple[str, ...] = ()  # of FURTHER
    rise: tuple[float, ...] = ()  # m of every family; empty: none rises

    @property
    def shape(self) -> dict[str, tuple[float, float]]:
        """Centre and width of every parameter that is no strength, in order."""
        every = PRIORS | {name: FURTHER[name] for name in self.further}
        own = {name: (float(self.material.n), every[name][1]) for name in EXPONENTS if name in every}
        return every | own

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters: families, then those of `shape`."""
        return (*self.families, *self.shape)

    @property
    def literature(self) -> NDArray:
        """(K,) initial strengths of the families in the literature, MPa."""
        return np.array([self.material.families[f].strength for f in self.families])

    @property
    def strengths(self) -> NDArray:
        """(K,) the same, mean over the strain of the test."""
        return self.literature * self._rise

    @property
    def log_spreads(self) -> NDArray:
        """(K,) prior standard deviations of the log strengths."""
        return np.hypot(self._literature_spreads, self.material.hardening_spread * (1 - 1 / self._rise))

    @property
    def _literature_spreads(self) -> NDArray:
        return np.array([self.material.families[f].log_spread for f in self.families])

    @property
    def _rise(self) -> NDArray:
        return np.array(self.rise) if self.rise else np.ones(len(self.families))

    @property
    def reference(self) -> int:
        """The family to which strength ratios refer: the softest slip family of the literature."""
        kinds = np.array([self.material.families[f].kind for f in self.families])
        return int(np.where(kinds == "slip", self.literature, np.inf).argmin())

    def ratios(self, *, initial: bool = False) -> NDArray:
        """(3, K) lower end of the 90 % interval, middle and upper end of the log strength ratios to the
        reference, of means over the test or of strengths at its beginning.
        """
        middle = np.log(self.literature if initial else self.strengths)
        spread = self._literature_spreads if initial else self.log_spreads
        contrast = np.eye(len(middle)) - np.eye(len(middle))[self.reference]  # log xi_i - log xi_reference
        width = NINETY_PERCENT * np.sqrt((contrast**2) @ spread**2)
        return contrast @ middle + np.array([-1.0, 0.0, 1.0])[:, None] * width

    def centre(self) -> Tensor:
        """Prior centre of the whole vector."""
        shape = [to_line(name, torch.tensor(c, dtype=torch.float64)) for name, (c, _) in self.shape.items()]
        return torch.cat([torch.log(torch.tensor(self.strengths)), torch.stack(shape)])

    def starts(self) -> tuple[Tensor, Tensor]:
        """Two vectors from which a search should begin, since there may be several maxima: the centre, and
        there with half the differences (in the log) between strengths.
        """
        centre, k = self.centre(), len(self.families)
        mean = centre[:k].mean()
        return centre, torch.cat([mean + 0.5 * (centre[:k] - mean), centre[k:]])

    def width(self) -> NDArray:
        """Prior standard deviations of the whole vector."""
        return np.concatenate([self.log_spreads, [w for _, w in self.shape.values()]])

    def log_density(self, vector: Tensor) -> Tensor:
        """Log prior up to a constant."""
        z = (vector - self.centre()) / torch.tensor(self.width())
        return -0.5 * (z**2).sum()

    def unpack(self, vector: Tensor) -> Theta:
        """The record of a parameter vector."""
        values = self._values(vector)
        return Theta(
            log_strength=vector[: len(self.families)],
            n=values["n"],
            n_twin=values["n_twin"],
            variation=values["variation"],
            amplitude=values["amplitude"],
            scatter=values["scatter"],
            coefficients=torch.stack([values[name] for name in PULLS]),
            rates=Detection(**{field.name: values[field.name] for field in fields(Detection)}),
            trust=values["trust"],
            motion={k: MotionRates(values[f"{k}_gain"], values[f"{k}_scatter"]) for k in KINDS},
            reports=ReportRates(values["report_missed"], values["report_false"]),
        )

    def named(self, vector: Tensor) -> dict[str, float]:
        """Plain numbers for people: strength_<family>_mpa and the parameters of `shape`."""
        strengths = torch.exp(vector[: len(self.families)]).tolist()
        named = {f"strength_{f}_mpa": x for f, x in zip(self.families, strengths, strict=True)}
        values = self._values(vector)
        return named | {name: float(values[name]) for name in self.shape}

    def _values(self, vector: Tensor) -> dict[str, Tensor]:
        """PRIORS and FURTHER in their own range; of what the model has not, the prior's centre, and no
        scatter.
        """
        line = vector[len(self.families) :]
        values = {name: from_line(name, x) for name, x in zip(self.shape, line, strict=True)}
        fixed = {name: centre for name, (centre, _) in FURTHER.items()}
        fixed |= dict.fromkeys(("scatter", "trust", "outgrown"), 0.0)
        return {name: torch.tensor(x, dtype=line.dtype) for name, x in fixed.items()} | values


def to_line(name: str, value: Tensor) -> Tensor:
    """From a parameter's own range to the real line."""
    if name in PLAIN:
        return value
    value = value - (1.0 if name in EXPONENTS else 0.0)
    if name in HALVES:
        return torch.logit(2 * value)
    return torch.logit(value) if name in SHARES else torch.log(value)


def from_line(name: str, value: Tensor) -> Tensor:
    """Inverse of :func:`to_line`."""
    if name in PLAIN:
        return value
    if name in HALVES:
        return torch.sigmoid(value) / 2
    return torch.sigmoid(value) if name in SHARES else torch.exp(value) + (1.0 if name in EXPONENTS else 0.0)
