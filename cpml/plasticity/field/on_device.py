"""The parts of a viscoplastic full field on a torch device: grid, space of strain rates, voxels.

Each does there, by batched operations in float64, what its namesake on the CPU does by compiled loops, so
that the solver (cpml.plasticity.field.full_field) is the same for both: its arrays are then torch tensors,
and only the numbers that decide what comes next (a work, whether all voxels are solved) reach the host.

Voxels take Newton steps together, and leave the batch when they are solved. The potential of a voxel is
convex, and along a step the resolved stresses are linear in the share t of it: its slope at many shares
costs no product with the tensors of the systems,

    r(s) = sum_s gamma_dot_s P_s + a s - c,     p = -H^-1 r,     slope(t) = p . r(s + t p)

A share is taken at which the slope has fallen well below that at t = 0; from far above the solution this is
a multiple of the step, which alone would lower |tau/xi| by its 1/n-th part only.

Answers and operators are those of the compiled loops to rounding, and fields at the default tolerance to 1e-8
up to n = 20. Where conjugate gradients take some fifty iterations and more (larger n, tolerances far below
1e-4), these amplify rounding: solutions then agree as two of the compiled loops do from orientations that
differ by 1e-15, which is within the tolerance.

| symbol | meaning | unit | shape |
|---|---|---|---|
| s, p | stress in crystal axes, step | sigma0 | (N, 5) |
| c, r | d + a s0 in crystal axes, residual | rate0 | (N, 5) |
| H | dr/ds = sum_s (dgamma_dot/dtau) P P^T + a 1 | rate0 / sigma0 | (N, 5, 5) |
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from torch import Tensor

from cpml.crystallography.tensors import BASIS
from cpml.errors import ParameterError
from cpml.plasticity.arguments import as_tensor
from cpml.plasticity.crystal.newton import regularised
from cpml.plasticity.field.equilibrium import Array, Nodal, Space
from cpml.plasticity.field.grid import AXES, PeriodicGrid
from cpml.plasticity.field.phases import Phases
from cpml.plasticity.field.voxels import AnyLawVoxels, IsotropicVoxels, PowerLawVoxels, Voxels
from cpml.plasticity.laws import flow
from cpml.plasticity.laws.law import on_device

_MAX_ITER = 200
_TRIALS = 40
_ROUNDING = 1e-10  # a residual that stops falling below this is as good as float64 makes it
_UP, _DOWN = 0.9, 0.5  # shares of the first slope: beyond them a step was too long, or is worth going on


def check_device(device: torch.device | str) -> torch.device:
    """The device.

    Raises
    ------
    ParameterError : torch has no such device here, or none that knows float64
    """
    try:
        return torch.empty(1, dtype=torch.float64, device=device).device
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        why = str(error).strip().splitlines()[0]
        raise ParameterError(f"device = {str(device)!r} cannot hold float64 tensors here: {why}") from error


@dataclass(frozen=True)
class TorchGrid(PeriodicGrid):
    """A PeriodicGrid whose fields are tensors."""

    device: torch.device | None = None

    @classmethod
    def on(cls, grid: PeriodicGrid, device: torch.device) -> "TorchGrid":
        """The same grid on a device."""
        return cls(**{f.name: getattr(grid, f.name) for f in fields(PeriodicGrid)}, device=device)

    @cached_property
    def symbol(self) -> Array:
        """As PeriodicGrid.symbol."""
        return torch.as_tensor(super().symbol, device=self.device)

    @cached_property
    def _inverse(self) -> Tensor | None:
        return None if self._to_deformed is None else torch.as_tensor(self._to_deformed, device=self.device)

    def transform(self, nodal: Array) -> Array:
        """As PeriodicGrid.transform."""
        return torch.fft.rfftn(nodal, dim=AXES)

    def back(self, spectrum: Array) -> Array:
        """As PeriodicGrid.back."""
        return torch.fft.irfftn(spectrum, s=self.shape, dim=AXES)

    def gradient(self, velocity: Array) -> Array:
        """As PeriodicGrid.gradient."""
        if self.difference == "continuous":
            spectrum = self.transform(velocity)
            columns = torch.stack([self.back(spectrum * k) for k in self.symbol], 1)
            return columns.reshape(3, 3, -1).permute(2, 0, 1)
        # sums and differences of neighbours, axis by axis: x, then y, then z
        beside = velocity.roll(-1, 3)
        (xd, xs), hx, hy, hz = (beside - velocity, beside + velocity), *(0.25 / h for h in self.step)
        along_x, summed = xd + xd.roll(-1, 2), xs.roll(-1, 2)
        along_y, summed = summed - xs, summed + xs
        above = summed.roll(-1, 1)
        columns = torch.stack(
            [
                hx * (along_x + along_x.roll(-1, 1)),
                hy * (along_y + along_y.roll(-1, 1)),
                hz * (above - summed),
            ],
            1,
        )
        out = columns.reshape(3, 3, -1).permute(2, 0, 1)  # (N, 3, 3), voxels innermost in memory
        return out if self._inverse is None else out @ self._inverse

    def force(self, stress: Array) -> Array:
        """As PeriodicGrid.force."""
        if self.difference != "continuous" and self._inverse is not None:
            stress = stress @ self._inverse.T
        x, y, z = stress.permute(2, 1, 0).reshape(3, 3, *self.shape)  # by direction of the difference
        if self.difference == "continuous":
            return self.back(
                sum(self.transform(p) * k.conj() for p, k in zip((x, y, z), self.symbol, strict=True))
            )
        hx, hy, hz = (0.25 / h for h in self.step)
        # each corner gathers from the voxels before and behind: z, then y, then x
        x, y, z = hx * (x + x.roll(1, 1)), hy * (y + y.roll(1, 1)), hz * (z.roll(1, 1) - z)
        x, y, z = x + x.roll(1, 2), y.roll(1, 2) - y, z + z.roll(1, 2)
        straight = y + z
        return x.roll(1, 3) - x + straight + straight.roll(1, 3)


@dataclass(frozen=True)
class TorchSpace(Space):
    """A Space of deviators whose fields are tensors."""

    @classmethod
    def on(cls, space: Space, device: torch.device) -> "TorchSpace":
        """The same space on a device."""
        return cls(TorchGrid.on(space.grid, device), torch.as_tensor(space.free, device=device))

    @cached_property
    def _basis(self) -> Tensor:
        return torch.tensor(BASIS, device=self.free.device).reshape(5, 9)

    def zero(self) -> Nodal:
        """As Space.zero."""
        return Nodal(self.free.new_zeros((3, *self.grid.shape)), self.free.new_zeros(self.free.shape[1]))

    def strain(self, motion: Nodal) -> Array:
        """As Space.strain."""
        return self.grid.gradient(motion.wave).reshape(-1, 9) @ self._basis.T + self.free @ motion.mean

    def force(self, stress: Array) -> Nodal:
        """As Space.force."""
        matrix = (self._basis.T @ stress.T).T.unflatten(1, (3, 3))  # voxels innermost in memory
        return Nodal(self.grid.force(matrix), self.free.T @ stress.sum(0))

    def mix(self, waves: Array, spectrum: Array) -> Array:
        """As Space.mix."""
        return (waves * spectrum).sum(1)

    def stiffness(self, tangent: Array, motion: Nodal) -> Nodal:
        """As Space.stiffness."""
        return self.force((tangent @ self.strain(motion)[..., None])[..., 0])


def phases_on(phases: Phases, device: torch.device) -> Phases:
    """The voxels on a device.

    Raises
    ------
    ParameterError : a law that is no PowerLaw
    """
    return replace(phases, parts=tuple(_on(part, device) for part in phases.parts))


def _on(part: Voxels, device: torch.device) -> Voxels:
    where: Array = torch.as_tensor(part.where, device=device)
    if isinstance(part, AnyLawVoxels):
        on_device(part.law, device)  # says which law stays on the CPU
    if isinstance(part, PowerLawVoxels):
        return TorchVoxels.on(part, where)
    assert isinstance(part, IsotropicVoxels)  # the rest
    return replace(part, where=where)


@dataclass
class TorchVoxels:
    """Crystals of a power law."""

    where: Array  # (N,)
    turn: Tensor  # (N, 5, 5) crystal to sample
    schmid: Tensor  # (S, 5)
    strength: Tensor  # (1 or N, S) in units of sigma0, at the rate rate0
    polar: Tensor  # (S,)
    n: float

    @classmethod
    def on(cls, part: PowerLawVoxels, where: Tensor) -> "TorchVoxels":
        """The same crystals on the device of their places."""
        strength = part.strength if len(part.strength) == 1 else part.strength[part.row]
        systems, device = part.law.systems, where.device
        numbers = (part.turn[part.grain], systems.schmid5, strength, systems.twin)
        turn, schmid, xi, polar = (torch.as_tensor(v, device=device) for v in numbers)
        return cls(where, turn, schmid, xi, polar, float(as_tensor(part.law.n).item()))

    def answer(self, rate: Array, before: Array, a: float, tol: float, stress: Array, tangent: Array) -> bool:
        """As Voxels.answer."""
        right, start = (((v[:, None, :] @ self.turn)[:, 0]) for v in (rate + a * before, stress))
        crystals = Crystals(self.schmid, self.strength, self.polar, self.n, a, right)
        solved, is_solved = _solve(crystals, start, tol)
        inverse = torch.linalg.inv_ex(regularised(crystals.residual(solved)[1], 1e-15))[0]
        stress[:] = (self.turn @ solved[..., None])[..., 0]
        turned = self.turn @ inverse @ self.turn.mT
        tangent[:] = (turned + turned.mT) / 2
        return is_solved

    def shear_rate(self, stress: Array) -> Array:
        """As Voxels.shear_rate."""
        tau = (stress[:, None, :] @ self.turn)[:, 0] @ self.schmid.T
        return flow.rates(tau, self.strength, self.polar, self.n, 1.0)[0]


@dataclass(frozen=True)
class Crystals:
    """Equations of a batch of crystals in their own axes (module docstring)."""

    schmid: Tensor  # (S, 5)
    strength: Tensor  # (1 or N, S)
    polar: Tensor  # (S,)
    n: float
    a: float
    right: Tensor  # (N, 5)

    @cached_property
    def pairs(self) -> Tensor:
        """P P^T (S, 25)."""
        return (self.schmid[:, :, None] * self.schmid[:, None, :]).reshape(-1, 25)

    def some(self, which: Tensor) -> "Crystals":
        """Some of the crystals."""
        strength = self.strength if len(self.strength) == 1 else self.strength[which]
        return replace(self, strength=strength, right=self.right[which])

    def tau(self, s: Tensor) -> Tensor:
        """Resolved stresses (N, S)."""
        return s @ self.schmid.T

    def rates(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """Shear rates and slopes (N, S)."""
        return flow.rates(tau, self.strength, self.polar, self.n, 1.0)

    def residual(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """r (N, 5) and H (N, 5, 5)."""
        rate, slope = self.rates(self.tau(s))
        h = (slope @ self.pairs).unflatten(1, (5, 5))
        h.diagonal(dim1=1, dim2=2).add_(self.a)
        return rate @ self.schmid + self.a * s - self.right, h


def _solve(crystals: Crystals, s: Tensor, tol: float) -> tuple[Tensor, bool]:
    """Stresses (N, 5) from a start, and whether all were solved to `tol`."""
    out, left = s.clone(), torch.arange(len(s), device=s.device)
    before = torch.full_like(s[:, 0], torch.inf)
    for _ in range(_MAX_ITER):
        r, h = crystals.residual(s)
        size = r.norm(dim=1)
        is_done = (size <= tol) | ((size < _ROUNDING) & (size > 0.5 * before))
        going = torch.nonzero(~is_done)[:, 0]
        if len(going) < len(left):
            out[left] = s
            left = left[going]
            if not len(left):
                return out, True
            s, r, h, size = s[going], r[going], h[going], size[going]
            crystals = crystals.some(going)
        step = torch.linalg.solve_ex(regularised(h, 1e-15), -r)[0]  # without a look at errors: no wait
        s, before = s + _share(crystals, s, step, r)[:, None] * step, size
    out[left] = s
    return out, False


def _share(crystals: Crystals, s: Tensor, step: Tensor, r: Tensor) -> Tensor:
    """Shares (N,) of the steps at which the slope along them has fallen."""
    tau, along = crystals.tau(s), crystals.tau(step)
    linear = crystals.a * (s * step).sum(1) - (crystals.right * step).sum(1)
    square = crystals.a * (step * step).sum(1)
    first = -(r * step).sum(1)  # > 0

    def slope(share: Tensor) -> Tensor:
        rate = crystals.rates(tau + share[:, None] * along)[0]
        value = ((rate * along).sum(1) + linear + share * square) / first
        return torch.nan_to_num(value, nan=torch.inf)

    share, most = torch.ones_like(first), crystals.n
    low, high, now = torch.zeros_like(share), torch.full_like(share, torch.inf), slope(share)
    for _ in range(_TRIALS):
        too_far, too_short = now > _UP, (now < -_DOWN) & (share < most)
        is_wrong = too_far | too_short
        if not bool(is_wrong.any()):
            break
        low, high = torch.where(too_short, share, low), torch.where(too_far, share, high)
        middle = torch.where(torch.isinf(high), 2 * share, (low + high) / 2)
        share = torch.where(is_wrong, middle, share)
        now = torch.where(is_wrong, slope(share), now)
    return share
