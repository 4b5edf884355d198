"""A network on the grains of a map that turns with it: scalars from contractions, tensors from tensors.

A grain carries numbers h (H,) and deviators V (C, 5). Three rounds of

    M_c    = sum_s psi_cs P_s (P_s : V_c)                                 the grain's own systems answer V
    m_gh   = a V_h + b V_g + c dyad(nu) + d T(nu) (V_h - V_g)             a boundary of normal nu and share w
    V     <- V + gates * mix(V, M, sum_h w_gh m_gh, sym(V sum_h w_gh m_gh)),    h <- h + MLP(h, contractions)

with psi, a, b, c, d and the gates small perceptrons of numbers that do not turn: contractions of tensors and
the invariants of tokens. So rotations of the specimen turn the answer, and symmetry copies, senses of slip
and the order of grains and systems change nothing, exactly. The answer is what the mean field leaves over:

    s_g = s0_g + sum_c k_c V_c,    Cov(s_g) = v I + sum_r B_r B_r^T,  B_r = sum_c l_rc V_c

and the same for the strain rate; spins are axial vectors of commutators [V, V'], the log of the total shear a
number. Output layers start at zero: an untrained network is the mean field with a scatter of its own.

References: Ling, Kurzawski & Templeton 2016, J. Fluid Mech. 807:155 (tensor bases); Gilmer et al. 2017,
arXiv:1704.01212 (message passing).
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from cpml.models.learned.basis import COMMUTATOR, PRODUCT
from cpml.models.learned.surface import SCALARS, TOKENS, Surface


@dataclass(frozen=True)
class Shape:
    """Size of the network."""

    channels: int = 16
    hidden: int = 48
    token_hidden: int = 24
    rounds: int = 3
    stress_rank: int = 5
    motion_rank: int = 4

    def to_dict(self) -> dict[str, int]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Answer:
    """Mean and covariance of every grain, units of `surface`."""

    stress: Tensor  # (G, 5)
    stress_covariance: Tensor  # (G, 5, 5)
    rate: Tensor  # (G, 5)
    rate_covariance: Tensor  # (G, 5, 5)
    spin: Tensor  # (G, 3)
    spin_covariance: Tensor  # (G, 3, 3)
    log_total: Tensor  # (G,)
    log_total_variance: Tensor  # (G,)


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, outputs))


def _zero(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def bounded(v: Tensor) -> Tensor:
    """Tensors (..., 5) of length below 1, in their own directions: products of them stay small."""
    return v / (1 + (v * v).sum(-1, keepdim=True)).sqrt()


class _Tokens(nn.Module):
    """Tensors that the systems of a grain make: sum_s phi_s u_s P_s, with u_s = x_s for slip, 1 for twins."""

    def __init__(self, shape: Shape, count: int):
        super().__init__()
        self.phi = _mlp(TOKENS, shape.token_hidden, count)

    def forward(self, surface: Surface) -> Tensor:
        odd = torch.where(surface.polar > 0, torch.ones_like(surface.base.x), surface.base.x)
        weight = self.phi(surface.tokens) * odd[..., None]
        return torch.einsum("gsk,gsi->gki", weight, surface.schmid)


class _Round(nn.Module):
    """One exchange with the neighbours (module docstring)."""

    def __init__(self, shape: Shape):
        super().__init__()
        c, h = shape.channels, shape.hidden
        self.psi = _mlp(TOKENS, shape.token_hidden, c)
        self.edge = _mlp(2 * h + 4 * c + 1, h, 4 * c + h)
        self.mix = nn.Linear(4 * c, c, bias=False)
        self.update = _mlp(2 * h + 5 * c, h, h + 4 * c)
        self.norm = nn.LayerNorm(h)
        self.channels = c

    def forward(self, surface: Surface, h: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        c, here, there = self.channels, surface.here, surface.there
        own = torch.einsum("gsi,gci->gsc", surface.schmid, v) * self.psi(surface.tokens)
        answer = torch.einsum("gsc,gsi->gci", own, surface.schmid)
        near, far = v[here], v[there]
        dyad = surface.dyad[:, None, :]
        pulled = torch.einsum("eij,ecj->eci", surface.traction, far - near)
        numbers = torch.cat(
            [
                h[here],
                h[there],
                (near * far).sum(-1),
                (near * dyad).sum(-1),
                (far * dyad).sum(-1),
                (far * answer[here]).sum(-1),
                surface.share[:, None],
            ],
            dim=-1,
        )
        said = self.edge(numbers)
        gates, words = said[:, : 4 * c].reshape(-1, 4, c, 1), said[:, 4 * c :]
        message = gates[:, 0] * far + gates[:, 1] * near + gates[:, 2] * dyad + gates[:, 3] * pulled
        share = surface.share
        heard = torch.zeros_like(v).index_add(0, here, message * share[:, None, None])
        words = torch.zeros_like(h).index_add(0, here, words * share[:, None])
        twisted = torch.einsum("ijk,gcj,gck->gci", PRODUCT.to(v), v, heard)
        parts = torch.cat([v, answer, heard, twisted], dim=1)
        contracted = [
            (v * v).sum(-1),
            (heard * heard).sum(-1),
            (v * heard).sum(-1),
            (v * surface.macro[:, None]).sum(-1),
            (v * answer).sum(-1),
        ]
        step = self.update(torch.cat([h, words, *contracted], dim=-1))
        gate = 1 + step[:, -4 * c :].reshape(len(v), 4 * c, 1)
        mixed = torch.einsum("ck,gki->gci", self.mix.weight, parts * gate)
        return self.norm(h + step[:, : h.shape[1]]), bounded(v + mixed)


class _Head(nn.Module):
    """Mean, and factors of the covariance, as combinations of the tensors with gates."""

    def __init__(self, shape: Shape, channels: int, rank: int):
        super().__init__()
        self.rank, self.channels = rank, channels
        self.mean = _zero(nn.Linear(shape.hidden, channels))
        self.factors = _zero(nn.Linear(shape.hidden, rank * channels))
        self.spread = _zero(nn.Linear(shape.hidden, 1))

    def forward(self, h: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        mean = torch.einsum("gc,gci->gi", self.mean(h), v)
        factors = self.factors(h).reshape(len(h), self.rank, self.channels)
        root = torch.einsum("grc,gci->gri", factors, v)
        own = variance(self.spread(h))
        eye = torch.eye(v.shape[-1], dtype=v.dtype)
        return mean, own[..., None] * eye + torch.einsum("gri,grj->gij", root, root)


LOG_SPREAD = -1.2
"""Of an untrained network: grains deviate from the mean field by 0.3."""
LOG_RANGE = 3.0
"""Of a log standard deviation about that."""


def variance(log_sd: Tensor) -> Tensor:
    """Of a log standard deviation, about `LOG_SPREAD` and within `LOG_RANGE` of it."""
    return torch.exp(2 * (LOG_SPREAD + LOG_RANGE * torch.tanh(log_sd / LOG_RANGE)))


POOL = 5
"""Tensors of a grain that nobody has to learn."""


class Mechanics(nn.Module):
    """Surface -> Answer."""

    def __init__(self, shape: Shape | None = None):
        super().__init__()
        self.shape = shape or Shape()
        c, h, pool = self.shape.channels, self.shape.hidden, POOL
        self.token_tensors = _Tokens(self.shape, c)
        self.first = nn.Linear(pool + c, c, bias=False)
        self.scalars = _mlp(SCALARS + pool * pool + c, h, h)
        self.rounds = nn.ModuleList(_Round(self.shape) for _ in range(self.shape.rounds))
        self.stress = _Head(self.shape, c + pool, self.shape.stress_rank)
        self.rate = _Head(self.shape, c + pool, self.shape.motion_rank)
        self.left = nn.Linear(c, c, bias=False)
        self.right = nn.Linear(c, c, bias=False)
        self.spin = _Head(self.shape, c, 2)
        self.total = _zero(nn.Linear(h, 2))

    def forward(self, surface: Surface) -> Answer:
        """Mean and covariance of every grain."""
        base = surface.base
        pool = torch.stack(
            [
                base.stress - surface.macro,
                base.rate - 1.5**0.5 * surface.macro,
                surface.macro,
                surface.plane,
                torch.einsum("ijk,gj,gk->gi", PRODUCT.to(base.stress), base.stress, base.stress),
            ],
            dim=1,
        )
        own = bounded(self.token_tensors(surface))
        given = bounded(pool)
        gram = torch.einsum("gai,gbi->gab", given, given).flatten(1)
        along = (own * surface.macro[:, None]).sum(-1)
        h = self.scalars(torch.cat([surface.scalars, gram, along], dim=-1))
        v = torch.einsum("ck,gki->gci", self.first.weight, torch.cat([given, own], dim=1))
        v = bounded(v)
        for exchange in self.rounds:
            h, v = exchange(surface, h, v)
        every = torch.cat([v, pool], dim=1)
        stress, stress_covariance = self.stress(h, every)
        rate, rate_covariance = self.rate(h, every)
        left, right = (torch.einsum("ck,gki->gci", m.weight, v) for m in (self.left, self.right))
        turns = torch.einsum("ajk,gcj,gck->gca", COMMUTATOR.to(v), left, right)
        spin, spin_covariance = self.spin(h, turns)
        shift, log_sd = self.total(h).unbind(-1)
        return Answer(
            stress=base.stress + stress,
            stress_covariance=stress_covariance,
            rate=base.rate + rate,
            rate_covariance=rate_covariance,
            spin=base.spin + spin,
            spin_covariance=spin_covariance,
            log_total=base.log_total + shift,
            log_total_variance=variance(log_sd),
        )
