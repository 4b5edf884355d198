"""Thermally activated glide: velocity of dislocations over obstacles, with viscous drag above them.

    gamma_dot = rho b v sgn(tau),   1/v = 1/v_jump + B/(t b),   t = max(|tau| - tau_pass, 0)
    v_jump = v0 exp[-(Q/kT)(1 - x^p)^q] (1 - exp[-2 (Q/kT) x]),   x = t/tau0 (in the first factor at most 1)

The last factor counts jumps against the stress: exact for p = q = 1, where forward less backward jumps make
2 v0 exp(-Q/kT) sinh(Q x/kT). Without it a crystal would flow at a finite rate under no stress, which is felt
where kT is not small beside Q. Twin systems (polar) move for tau > 0 only. Below the passing stress nothing
moves.

| symbol | meaning | unit |
|---|---|---|
| rho, b | mobile density, Burgers vector | 1/m^2, m |
| Q, tau0 | obstacle energy, strength at 0 K | J, MPa |
| p, q | shape of the obstacle, 0 < p <= 1 <= q <= 2 | |
| tau_pass | passing stress of the other dislocations | MPa |
| phi | forest: tau0 grows by phi for every MPa of tau_pass | |
| B | drag coefficient | MPa s |

Where the obstacles are the lattice and solutes (bcc, prismatic slip) hardening raises tau_pass alone, phi =
0: the rate sensitivity of the stress does not grow with it. Where they are forest dislocations (fcc) it
raises both in one proportion, the law of Cottrell & Stokes 1955, Proc. R. Soc. Lond. A 233:17.

From a material file (block `glide`), with the strength xi of the file, which holds at 293 K and the file's
reference rate, and the shear modulus mu(T):

    tau_pass = a xi m,  tau0 = (1 - a) xi m / s,  Q = g0 mu(T) b^3,  m = mu(T)/mu(293 K)
    s = [1 - (kT ln(rate0/rate)/Q)^(1/q)]^(1/p) at 293 K and the reference rate,  rho b v0 = rate0

so that strengths learned at room temperature carry over.

References: Kocks, Argon & Ashby 1975, Prog. Mater. Sci. 19:1; Follansbee & Kocks 1988, Acta Metall. 36:81
(g0 mu b^3); form as in DAMASK's dislotwin (Sedighiani et al. 2020).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.crystallography.material_blocks import GLIDE, glide_values
from cpml.crystallography.materials import ROOM, Material
from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.plasticity.arguments import Values, as_tensor
from cpml.plasticity.laws.constants import BOLTZMANN
from cpml.plasticity.laws.flow import directed
from cpml.plasticity.laws.law import stress_at_rate
from cpml.plasticity.laws.values import PerSystem

_LEAST = 1e-6  # of tau0: keeps (t/tau0)^(p-1) finite
_TINY = 1e-60  # of tau0: keeps divisions by a stress of zero finite
_MOST = 690.0  # exponent of a waiting time, beyond which nothing moves in any test


@dataclass(frozen=True)
class ThermalGlide:
    """Law of a set of systems (module docstring) at one temperature; family, system or single values.

    Raises
    ------
    ParameterError : a temperature outside 0 to 5000 K, a value that is not positive,
        an obstacle of another shape, systems without an obstacle
    """

    systems: Systems
    temperature: Tensor | float  # K; (G, 1) where every grain has its own
    energy: PerSystem = PerSystem(sign="positive", per_grain=True)  # J
    strength0: PerSystem = PerSystem(per_grain=True)  # MPa, tau0 without passing stress
    burgers: PerSystem = PerSystem(sign="positive")  # m
    density: PerSystem = PerSystem(1e12, sign="positive")  # 1/m^2
    velocity0: PerSystem = PerSystem(1e3, sign="positive")  # m/s
    passing: PerSystem = PerSystem(0.0, per_grain=True)  # MPa; also (G, S), of grains that harden
    p: PerSystem = PerSystem(0.5, sign="positive")
    q: PerSystem = PerSystem(1.5, sign="positive")
    drag: float = 1e-10  # MPa s
    forest: PerSystem = PerSystem(0.0)  # phi

    def __post_init__(self) -> None:
        temperature = as_tensor(self.temperature)
        if not bool(((temperature > 0) & (temperature < 5000)).all()):
            raise ParameterError(f"temperature = {self.temperature} K must be between 0 and 5000")
        if not bool((self.obstacle.detach() > 0).all()):
            raise ParameterError("strength0, with what the forest adds to it, must be positive")
        if bool((self.p > 1).any()) or bool((self.q < 1).any()) or bool((self.q > 2).any()):
            raise ParameterError("the obstacle shape needs 0 < p <= 1 <= q <= 2")

    @classmethod
    def from_material(
        cls,
        material: Material,
        temperature: Tensor | float,
        *,
        families: Sequence[str] | None = None,
        strength: Values | None = None,
    ) -> "ThermalGlide":
        """Law of a material file (block `glide`) at a temperature, K, of all its families or some.

        Parameters
        ----------
        temperature : a number, or (G, 1) with one for every grain
        strength : (K,) MPa at 293 K and the file's reference rate; None: the file's

        Raises
        ------
        ParameterError : no block `glide`, an obstacle that is overcome without stress at 293 K

        Examples
        --------
        >>> from cpml.crystallography import load_material
        >>> from cpml.plasticity import PowerLaw
        >>> law = ThermalGlide.from_material(load_material("copper"), 293.0)
        >>> round(float(law.stress_at(3e-3)[0] / load_material("copper").strengths[0]), 3)
        1.0
        """
        systems, block = material.systems(families), material.glide
        if not block:
            raise ParameterError(
                f"material {material.name!r} has no block glide: its strengths over temperature are unknown"
            )
        values = {key: glide_values(block, key, systems.family_names) for key in GLIDE}
        file = [material.families[name].strength for name in systems.family_names]
        xi = as_tensor(file if strength is None else strength)
        lengths = _burgers(material, systems)
        room, now = material.shear_modulus(ROOM), material.shear_modulus(as_tensor(temperature))
        barrier = 1e6 * values["activation"] * lengths**3  # J per MPa of shear modulus
        left = _left(barrier * room, values, material.reference_rate)
        if not (left > 0).all():
            name = systems.family_names[int(np.argmin(left))]
            raise ParameterError(
                f"material {material.name!r}: glide: {name} needs no stress to pass its obstacles at "
                f"{ROOM:g} K and {material.reference_rate:g} /s; a larger activation or rate0 is needed"
            )
        athermal = torch.as_tensor(values["athermal"])
        start, passing = (1 - athermal) * xi / torch.as_tensor(left), athermal * xi
        is_forest = torch.as_tensor(values["forest"] > 0)
        ratio = torch.where(is_forest, start / torch.where(is_forest, passing, 1.0), 0.0)
        index, scale = torch.as_tensor(systems.family), now / room

        def each(family: Tensor) -> Tensor:
            """(S,) or (G, S) of family values."""
            return family[index] * scale

        return cls(
            systems,
            temperature,
            energy=torch.as_tensor(barrier)[index] * now,
            strength0=each(torch.where(is_forest, 0.0, start)),
            burgers=lengths,
            velocity0=values["rate0_per_s"] / (1e12 * lengths),
            passing=each(passing),
            p=values["p"],
            q=values["q"],
            forest=ratio,
        )

    @property
    def obstacle(self) -> Tensor:
        """(S,) or (G, S) strength of the obstacles at 0 K, MPa."""
        return self.strength0 + self.forest * self.passing

    @property
    def schmid(self) -> Tensor:
        """(S, 5) Schmid tensors, crystal frame."""
        return torch.as_tensor(self.systems.schmid5)

    def stress_at(self, rate: float) -> Tensor:
        """(S,) or (G, S) resolved stress, MPa, at which each system moves at `rate`, 1/s."""
        return stress_at_rate(self, rate)

    def exponent_at(self, rate: float) -> Tensor:
        """(S,) or (G, S) rate exponent n = d ln rate / d ln tau of each system there."""
        stress = self.stress_at(rate)
        moved, slope = self.rates(stress)
        return stress * slope / moved

    @property
    def system_strength(self) -> Tensor:
        """Passing stresses, MPa: what hardening raises."""
        return self.passing

    def with_strength(self, strength: Tensor) -> "ThermalGlide":
        """The law at other passing stresses, e.g. those of hardened grains (G, S), MPa."""
        return replace(self, passing=strength)

    def rates(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """Shear rates and their derivative by tau, both (..., S), at resolved stresses (..., S), MPa."""
        tau = directed(tau, torch.as_tensor(self.systems.twin))
        free = tau.abs() - self.passing
        moves = free > 0
        obstacle = self.obstacle
        stress = torch.maximum(free, _TINY * obstacle)
        ratio = stress / obstacle
        x = ratio.clamp(_LEAST, 1.0)
        height = self.energy / (BOLTZMANN * self.temperature)
        left = (1 - x**self.p).clamp(min=0)
        # the exponent is bounded so that the lowest temperatures stay finite: Q/kT is some 10^4 at 4 K
        net = -torch.expm1(-2 * height * ratio)
        wait = torch.exp((height * left**self.q).clamp(max=_MOST)) / (self.velocity0 * net)
        climbs = height * self.q * left ** (self.q - 1) * self.p * x ** (self.p - 1)
        climbs = torch.where((ratio > _LEAST) & (ratio < 1), climbs, 0.0)
        slope = -(climbs + 2 * height * torch.exp(-2 * height * ratio) / net) / obstacle
        flight = self.drag / (stress * self.burgers)
        per_velocity = self.density * self.burgers
        rate = per_velocity / (wait + flight)
        share = wait / (wait + flight)
        derivative = -rate * (share * slope - (1 - share) / stress)
        return torch.where(moves, rate * tau.sign(), 0.0), torch.where(moves, derivative, 0.0)


def _burgers(material: Material, systems: Systems) -> NDArray:
    """(K,) Burgers vectors of families, m; twins move by those of slip, the shortest of which they take."""
    first = [int(np.argmax(systems.family == k)) for k in range(len(systems.family_names))]
    own = 1e-9 * material.a * systems.burgers_length[first]
    return np.where(systems.twin[first], material.burgers, own)


def _left(barrier: NDArray, values: dict[str, NDArray], rate: float) -> NDArray:
    """(K,) s: share of tau0 that is left at ROOM and a rate; 0 where heat alone passes the obstacles."""
    log = np.log(values["rate0_per_s"] / rate).clip(min=0)
    climbed = (BOLTZMANN * ROOM * log / barrier).clip(max=1.0)
    return (1 - climbed ** (1 / values["q"])) ** (1 / values["p"])
