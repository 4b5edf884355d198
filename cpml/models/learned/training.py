"""Learning from solved volumes: the log score of what every section of every grain really did.

    loss = - mean over sections of log N(truth; mean, covariance)      stress, strain rate, spin, total shear

A step sees a few volumes, of each a random half of its cuts. The learning rate rises and falls once.
Interrupted training goes on from its last epoch and ends at the same weights.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cpml.files import write_atomic
from cpml.models.learned.network import Answer, Mechanics, Shape
from cpml.models.learned.volumes import UNKNOWN_SHARE, Example, Truth, Volume

CLIP = 1.0
"""Norm of the gradient of a step, at most: a grain that nobody foresaw must not undo the others."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast."""

    epochs: int = 12
    volumes_a_step: int = 2
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4


def log_scores(answer: Answer, truth: Truth) -> dict[str, Tensor]:
    """Log density (G,) of the truth of every grain, per part."""
    return {
        "stress": gaussian(truth.stress - answer.stress, answer.stress_covariance),
        "rate": gaussian(truth.rate - answer.rate, answer.rate_covariance),
        "spin": gaussian(truth.spin - answer.spin, answer.spin_covariance),
        "log_total": gaussian(
            (truth.log_total - answer.log_total)[:, None], answer.log_total_variance[:, None, None]
        ),
    }


def gaussian(apart: Tensor, covariance: Tensor) -> Tensor:
    """Log density (G,) of deviations (G, D) under covariances (G, D, D)."""
    root = torch.linalg.cholesky(covariance)
    standard = torch.linalg.solve_triangular(root, apart[..., None], upper=False)[..., 0]
    log_det = torch.diagonal(root, dim1=-2, dim2=-1).log().sum(-1)
    return -0.5 * (standard**2).sum(-1) - log_det - 0.5 * apart.shape[-1] * np.log(2 * np.pi)


def loss_of(network: Mechanics, example: Example) -> Tensor:
    """Negative log score of an example, by the weights of its sections."""
    answer, truth = network(example.surface), example.truth
    total = sum(log_scores(answer, truth).values(), start=torch.zeros(()))
    return -(total * truth.weight).sum() / truth.weight.sum()


def drawn(volume: Volume, rng: np.random.Generator) -> Example:
    """Of every plane of a volume one of its two maps, that goes on or that ends."""
    planes = np.arange(volume.n_cuts // 2)
    cuts = 2 * planes + rng.integers(0, 2, len(planes))
    return volume.example(cuts, rng.random(len(cuts)) >= UNKNOWN_SHARE)


def train(
    volumes: Sequence[Volume],
    *,
    seed: int,
    shape: Shape | None = None,
    schedule: Schedule | None = None,
    checkpoint: Path | None = None,
    report: Callable[[int, float], None] = lambda epoch, loss: None,
) -> Mechanics:
    """A network that has learned from the volumes.

    Parameters
    ----------
    seed : of the weights and of the order
    checkpoint : file in which the state is kept after every epoch and from which it goes on
    report : called after every epoch with its number and mean loss
    """
    schedule = schedule or Schedule()
    torch.manual_seed(seed)
    network = Mechanics(shape)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    steps = schedule.epochs * -(-len(volumes) // schedule.volumes_a_step)
    pace = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=schedule.learning_rate, total_steps=steps, pct_start=0.1
    )
    first = 0
    if checkpoint is not None and checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        pace.load_state_dict(state["pace"])
        first = int(state["epoch"])
    for epoch in range(first, schedule.epochs):
        rng = np.random.default_rng([seed, epoch])
        order, total = rng.permutation(len(volumes)), 0.0
        for start in range(0, len(order), schedule.volumes_a_step):
            batch = order[start : start + schedule.volumes_a_step]
            optimiser.zero_grad()
            for number in batch:
                loss = loss_of(network, drawn(volumes[number], rng)) / len(batch)
                loss.backward()
                total += float(loss.detach()) * len(batch)
            torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimiser.step()
            pace.step()
        report(epoch + 1, total / len(order))
        if checkpoint is not None:
            state = {
                "network": network.state_dict(),
                "optimiser": optimiser.state_dict(),
                "pace": pace.state_dict(),
                "epoch": epoch + 1,
            }
            write_atomic(checkpoint, partial(torch.save, state))
    return network
