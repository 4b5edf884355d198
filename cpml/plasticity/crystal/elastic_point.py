"""Elasto-viscoplastic crystals at finite strain: stress, slip and tangent of many points over one increment.

The equations, symbols and references stand in cpml.plasticity.crystal.elastic_kernels. Strengths and back
stresses are those at the end of the increment; who asks finds them with the stress, by a fixed point
(cpml.plasticity.field_path.elastic).
F_p(0)^-1 = crystal_to_sample, so that everything plastic is in crystal axes.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from cpml.compiled import in_threads
from cpml.crystallography.elasticity import MANDEL, to_mandel
from cpml.errors import ParameterError
from cpml.plasticity.arguments import as_tensor
from cpml.plasticity.crystal.elastic_kernels import Crystal, solve_points
from cpml.plasticity.laws.law import PowerLaw

_MAX_ITER = 60
_FEW = 64  # points that are not worth a thread


@dataclass(frozen=True)
class ElasticResponse:
    """Points at the end of an increment (`ElasticCrystal.respond`)."""

    piola: NDArray  # (N, 3, 3) first Piola-Kirchhoff stress, MPa, sample frame
    stress: NDArray  # (N, 6) second Piola-Kirchhoff stress S, MPa, crystal axes, Mandel; the next start
    shear_rate: NDArray  # (N, S) signed, 1/s
    inverse: NDArray  # (N, 3, 3) F_p^-1, det 1
    tangent: NDArray | None  # (N, 9, 9) dP/dF at fixed strength, MPa, rows and columns 3 i + j
    converged: NDArray  # (N,) bool
    iterations: NDArray  # (N,) Newton steps


@dataclass(frozen=True)
class ElasticCrystal:
    """One elasto-viscoplastic phase: a power law and its elastic constants.

    Parameters
    ----------
    law : its systems, n and reference rate are used; strengths are given point by point
    stiffness : (6, 6) Voigt, MPa, crystal axes, order 11, 22, 33, 23, 13, 12 (crystal_stiffness)

    Raises
    ------
    ParameterError : a law other than PowerLaw, a stiffness that is not a symmetric positive definite (6, 6)

    Examples
    --------
    >>> from cpml.crystallography import systems
    >>> from cpml.crystallography.elasticity import crystal_stiffness
    >>> law = PowerLaw(systems("fcc", families=["octahedral"]), [31.0], 20.0, 1e-3)
    >>> aluminium = ElasticCrystal(law, crystal_stiffness({"C11": 106.75e3, "C12": 60.41e3, "C44": 28.34e3}))
    >>> stretched = np.diag([1.01, 0.995, 0.995])[None]  # along [100], in 10 s
    >>> point = aluminium.respond(stretched, np.eye(3)[None], law.system_strength, 10.0)
    >>> p = point.piola[0]
    >>> print(f"{p[0, 0] - p[1, 1]:.1f} MPa")
    71.0 MPa
    """

    law: PowerLaw
    stiffness: NDArray

    def __post_init__(self) -> None:
        if not isinstance(self.law, PowerLaw):
            raise ParameterError(
                f"{type(self.law).__name__}: an elasto-viscoplastic point takes a PowerLaw and no other law"
            )
        c = np.array(self.stiffness, float)
        if c.shape != (6, 6) or not np.allclose(c, c.T) or not np.linalg.eigvalsh(to_mandel(c))[0] > 0:
            raise ParameterError("stiffness must be a symmetric positive definite (6, 6) Voigt matrix in MPa")
        object.__setattr__(self, "stiffness", c)

    @cached_property
    def constants(self) -> Crystal:
        """What the compiled loop needs of the phase."""
        systems = self.law.systems
        schmid = np.einsum("aij,sij->sa", MANDEL, systems.schmid)
        mandel = to_mandel(self.stiffness)
        arrays = (
            schmid.T,
            schmid,
            systems.dyad.reshape(-1, 9),
            systems.direction,
            systems.plane,
            systems.twin,
            mandel,
            np.linalg.inv(mandel),
        )
        return Crystal(*(_plain(array, array.dtype) for array in arrays))

    def respond(
        self,
        gradient: ArrayLike,
        inverse: ArrayLike,
        strength: ArrayLike,
        dt: float,
        *,
        back_stress: ArrayLike | None = None,
        start: NDArray | None = None,
        tangent: bool = True,
        threads: int = 1,
        tol: float = 1e-10,
    ) -> ElasticResponse:
        """Stress and slip of points over one increment.

        Parameters
        ----------
        gradient : (N, 3, 3) deformation gradient F at the end of the increment, sample frame
        inverse : (N, 3, 3) F_p^-1 at its beginning; crystal_to_sample of a crystal that has not slipped
        strength : (S,) or (N, S) at its end, MPa
        dt : length of the increment, s; 0 is an elastic one
        back_stress : (S,) or (N, S), MPa, taken off the resolved stress
        start : (N, 6) stress S of a nearby state; None starts from the elastic stress
        tangent : whether dP/dF is wanted
        threads : of the compiled loop
        tol : of the residual strain, relative to the elastic strain

        Raises
        ------
        ParameterError : shapes that do not fit, strengths or a dt that are no positive numbers
        """
        f, before = _tensors(gradient, "gradient"), _tensors(inverse, "inverse")
        count, systems = len(f), len(self.law.systems)
        if len(before) != count:
            raise ParameterError(f"{count} gradients for {len(before)} plastic ones: give one for each point")
        xi = _per_point(strength, count, systems, "strength")
        chi = _per_point(0.0 if back_stress is None else back_stress, count, systems, "back_stress")
        if not dt >= 0 or not np.isfinite(dt):
            raise ParameterError(f"dt = {dt} s must be a finite length of time, not negative")
        if not (xi > 0).all():
            raise ParameterError(f"strengths must be positive, got a smallest of {xi.min()} MPa")
        if start is not None and np.shape(start) != (count, 6):
            raise ParameterError(
                f"start of shape {np.shape(start)}: give ({count}, 6), one stress for each point"
            )
        stress = np.zeros((count, 6)) if start is None else np.array(start, float, order="C")
        piola, after = np.empty((count, 3, 3)), np.empty((count, 3, 3))
        shear_rate, slope = np.empty((count, systems)), np.empty((count if tangent else 0, 9, 9))
        iterations, residual = np.zeros(count, np.int64), np.empty(count)
        n, rate0 = as_tensor(self.law.n).item(), as_tensor(self.law.reference_rate).item()

        def part(first: int, last: int) -> None:
            solve_points(
                self.constants,
                n,
                rate0,
                float(dt),
                f,
                before,
                xi,
                chi,
                start is not None,
                tol,
                _MAX_ITER,
                stress,
                piola,
                after,
                shear_rate,
                slope,
                iterations,
                residual,
                first,
                last,
            )

        in_threads(part, count, threads if count >= _FEW else 1)
        is_finite = np.isfinite(piola).all((1, 2)) & np.isfinite(shear_rate).all(1)
        return ElasticResponse(
            piola,
            stress,
            shear_rate,
            after,
            slope if tangent else None,
            (iterations > 0) & is_finite,
            np.abs(iterations),
        )


def _plain(values: ArrayLike, dtype: DTypeLike = float) -> NDArray:
    """Contiguous and writable: a compiled loop is compiled again for arrays that are not."""
    return np.require(values, dtype, ["C", "W"])


def _tensors(values: ArrayLike, name: str) -> NDArray:
    array = _plain(values)
    if array.ndim != 3 or array.shape[1:] != (3, 3):
        raise ParameterError(f"{name} of shape {array.shape}: give (N, 3, 3), one tensor for each point")
    return array


def _per_point(values: ArrayLike, count: int, systems: int, name: str) -> NDArray:
    """(1 or N, S)."""
    array = np.asarray(values, dtype=float)
    if array.ndim == 0:
        array = np.broadcast_to(array, (systems,))
    array = _plain(np.atleast_2d(array))
    if array.shape not in ((1, systems), (count, systems)):
        raise ParameterError(
            f"{name} of shape {array.shape}: give ({systems},) or ({count}, {systems}) values"
        )
    return array
