"""Learning alone, with neighbours: a small graph network on grains and their tokens, without any physics.

    h_gt   = f(x_gt)                  x_gt: engineered features of grain g and token t, family one-hot
    H_g    = mean_t h_gt              a grain, whatever the order of its tokens
    M_g    = sum_h w_gh u(H_h)        w_gh: boundary length over the sum of g's boundary lengths
    h_gt  <- h_gt + v(h_gt, H_g, M_g)                  ``n_layers`` times, each with weights of its own
    p_gt   = sigmoid(a . h_gt)

Pooling over tokens makes the network exactly invariant under the crystal's symmetry. Trained with
Adam on the observed pairs; the number of epochs is the best one on blocks held out of the training
grains, then all of them are used.

References: Gilmer et al. 2017, ICML (message passing); Zaheer et al. 2017, NeurIPS (pooling over sets).
"""

from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from cpml.models.baselines.simple import observed, shrunken_share
from cpml.models.mechanics.features import token_features
from cpml.models.mechanics.neighbourhood import boundary_share
from cpml.models.specimen.specimen import Specimen

_SEEDED = Lock()
"""The generator of first weights is one for all threads."""
N_HIDDEN = 24
LEARNING_RATE, WEIGHT_DECAY = 5e-3, 1e-2
CHECK_EVERY = 5  # epochs between two looks at the held-out blocks
PATIENCE = 12  # looks without an improvement after which training ends


@dataclass(frozen=True)
class Graph:
    """One specimen as tensors."""

    x: Tensor  # (G, T, F)
    here: Tensor  # (2 E,) receiving grain of every directed edge
    there: Tensor  # (2 E,) sending grain
    weight: Tensor  # (2 E,)
    y: Tensor  # (G, T) 1, 0 or NaN
    half: Tensor  # (G,) bool, inner split


@contextmanager
def one_thread():
    """Tensors this small are slower on several threads, and sums come out in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Network(nn.Module):
    """From features (G, T, F) to logits (G, T)."""

    def __init__(self, n_inputs: int, n_hidden: int, n_layers: int):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(n_inputs, n_hidden), nn.Tanh())
        self.send = nn.ModuleList(nn.Linear(n_hidden, n_hidden) for _ in range(n_layers))
        self.update = nn.ModuleList(nn.Linear(3 * n_hidden, n_hidden) for _ in range(n_layers))
        self.last = nn.Linear(n_hidden, 1)

    def forward(self, graph: Graph) -> Tensor:
        """Logits (G, T)."""
        h = self.first(graph.x)
        for send, update in zip(self.send, self.update, strict=True):
            grain = h.mean(1)
            message = graph.weight[:, None] * torch.tanh(send(grain))[graph.there]
            received = torch.zeros_like(grain).index_add(0, graph.here, message)
            around = torch.cat([grain, received], dim=1)[:, None, :].expand(-1, h.shape[1], -1)
            h = h + torch.tanh(update(torch.cat([h, around], dim=2)))
        return self.last(h)[..., 0]


class GraphNetwork(BaseEstimator):
    """Message passing between neighbouring grains (module docstring); deterministic for a seed.

    Attributes
    ----------
    n_epochs_ : epochs that the inner split chose
    """

    name = "graph_network"

    def __init__(
        self,
        *,
        n_layers: int = 2,
        max_epochs: int = 400,
        seed: int = 0,
    ):
        self.n_layers = n_layers
        self.max_epochs = max_epochs
        self.seed = seed

    def fit(self, specimens: list[Specimen]):
        """Find the number of epochs on inner blocks, then train on all labels."""
        self.columns_ = [c for c in token_features(specimens[0], physics=False) if c != "family"]
        raw = np.concatenate([self._numbers(s).reshape(-1, len(self.columns_)) for s in specimens])
        scale = raw.std(0)
        self.mean_, self.scale_ = raw.mean(0), np.where(scale > 1e-9, scale, 1.0)
        self.families_ = specimens[0].systems.family_names
        graphs = [self._graph(s) for s in specimens]
        y = torch.cat([g.y[torch.isfinite(g.y)] for g in graphs])
        self.constant_ = shrunken_share(y.numpy()) if len(y.unique()) < 2 else None
        self.n_epochs_ = 0
        if self.constant_ is None:
            with one_thread():
                self.n_epochs_ = self._epochs(graphs)
                self.network_ = self._train(graphs, [torch.isfinite(g.y) for g in graphs], self.n_epochs_)
        return self

    def predict(self, specimen: Specimen) -> pd.DataFrame:
        """Probability of every token of every grain."""
        check_is_fitted(self)
        if self.constant_ is not None:
            p = np.full((len(specimen), len(specimen.tokens)), self.constant_)
        else:
            with torch.no_grad():
                p = torch.sigmoid(self.network_(self._graph(specimen))).numpy()
        return specimen.predictions(p, model=self.name)

    def _numbers(self, specimen: Specimen) -> np.ndarray:
        table = token_features(specimen, physics=False)[self.columns_].to_numpy(dtype=float)
        return np.nan_to_num(table).reshape(len(specimen), len(specimen.tokens), -1)

    def _graph(self, specimen: Specimen) -> Graph:
        scaled = (self._numbers(specimen) - self.mean_) / self.scale_
        family = np.array([[f == k for k in self.families_] for f in specimen.tokens["family"]], dtype=float)
        x = np.concatenate([scaled, np.broadcast_to(family, (len(specimen), *family.shape))], axis=2)
        here, there = specimen.directed_neighbours
        return Graph(
            x=torch.tensor(x),
            here=torch.tensor(here),
            there=torch.tensor(there),
            weight=torch.tensor(boundary_share(specimen)),
            y=torch.tensor(observed(specimen)),
            half=torch.tensor(specimen.chequerboard()),
        )

    def _epochs(self, graphs: list[Graph]) -> int:
        """Best number of epochs: trained on one half of the blocks, watched on the other."""
        sides = [[torch.isfinite(g.y) & (g.half == side)[:, None] for g in graphs] for side in (True, False)]
        if any(not sum(int(m.sum()) for m in masks) for masks in sides):
            return self.max_epochs // 4
        looks = [self._watch(graphs, *pair) for pair in (sides, sides[::-1])]
        length = min(len(look) for look in looks)
        together = np.sum([look[:length] for look in looks], axis=0)
        return CHECK_EVERY * (1 + int(together.argmin()))

    def _watch(self, graphs: list[Graph], train: list[Tensor], held_out: list[Tensor]) -> list[float]:
        """Held-out loss at every look, until it has stopped falling."""
        losses: list[float] = []

        def look(network) -> bool:
            losses.append(float(_loss(network, graphs, held_out)))
            return len(losses) - int(np.argmin(losses)) > PATIENCE

        self._train(graphs, train, self.max_epochs, look)
        return losses

    def _train(self, graphs: list[Graph], masks: list[Tensor], n_epochs: int, look=None) -> Network:
        """Network trained on the masked pairs; ``look`` is asked every CHECK_EVERY epochs whether to stop."""
        with _SEEDED, torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = Network(graphs[0].x.shape[2], N_HIDDEN, self.n_layers).double()
        optimiser = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        for epoch in range(1, n_epochs + 1):
            optimiser.zero_grad()
            loss = _loss(network, graphs, masks)
            loss.backward()
            optimiser.step()
            if look is not None and epoch % CHECK_EVERY == 0:
                with torch.no_grad():
                    if look(network):
                        break
        return network


def _loss(network: Network, graphs: list[Graph], masks: list[Tensor]) -> Tensor:
    """Mean log-loss over the masked pairs of all graphs."""
    logits = torch.cat([network(g)[m] for g, m in zip(graphs, masks, strict=True)])
    y = torch.cat([g.y[m] for g, m in zip(graphs, masks, strict=True)])
    return nn.functional.binary_cross_entropy_with_logits(logits, y)
