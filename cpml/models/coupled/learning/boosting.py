"""Boosted trees that correct probabilities which something else has given, for few labels.

    p_i = A sigmoid(o_i + f(z_i)) + B,      f = sum of small trees, starting at zero

o are log odds that are taken as they come, A and B what lies between an event and its record (missed,
mistaken). Every tree is grown on Newton's step of the log-likelihood and its leaves are shrunk,

    value = rate sum g / (sum h + l),       g = dl/df,  h = Fisher information (dp/df)^2 / (p (1 - p))

so that without evidence f stays near zero: l pairs of full information stand for zero. scikit-learn grows the
trees; kept are plain arrays, so that a model can be written as text and read without executing anything.

Reference: Friedman 2001, Ann. Stat. 29:1189, with the Newton leaves of its section 4.6 for a link of our own.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.tree import DecisionTreeRegressor

LEAF = -1
LEAST = 1e-6  # of a probability and of an information: below lies rounding
SHARE_OF_INPUTS = 0.5  # looked at in every split, so that inputs which say the same share the work


@dataclass(frozen=True)
class Tree:
    """Nodes of one tree; the first is its root, a child stands after its parent."""

    feature: NDArray  # (N,) column of the inputs, LEAF in a leaf
    threshold: NDArray  # (N,) left where the input is not above
    left: NDArray  # (N,) node, LEAF in a leaf
    right: NDArray
    value: NDArray  # (N,) shrunk step of all pairs that pass; counts in leaves, explains elsewhere

    def paths(self, z: NDArray) -> NDArray:
        """(D, M) node of every row of z (M, F) at every depth; a leaf repeats."""
        z = np.asarray(z, np.float32)  # as the trees were grown
        node, rows = np.zeros(len(z), int), np.arange(len(z))
        found = [node]
        while (self.feature[node] != LEAF).any():
            is_leaf = self.feature[node] == LEAF
            goes_left = z[rows, np.where(is_leaf, 0, self.feature[node])] <= self.threshold[node]
            node = np.where(is_leaf, node, np.where(goes_left, self.left[node], self.right[node]))
            found.append(node)
        return np.array(found)


@dataclass(frozen=True)
class Observation:
    """From log odds of an event to the probability of its record, p = A sigmoid(o) + B."""

    gain: NDArray  # (M,) A
    floor: NDArray  # (M,) B

    def recorded(self, log_odds: NDArray) -> NDArray:
        """(M,) p, away from 0 and 1."""
        return np.clip(self.gain * expit(log_odds) + self.floor, LEAST, 1 - LEAST)

    def log_likelihood(self, y: NDArray, log_odds: NDArray) -> NDArray:
        """(M,) of every record y, 0 or 1; natural log."""
        p = self.recorded(log_odds)
        return np.where(y > 0, np.log(p), np.log1p(-p))

    def newton(self, y: NDArray, log_odds: NDArray) -> tuple[NDArray, NDArray]:
        """Gradient and Fisher information (M,) of the log-likelihood in the log odds."""
        event, p = expit(log_odds), self.recorded(log_odds)
        slope = self.gain * event * (1 - event)
        return (y - p) / (p * (1 - p)) * slope, np.maximum(slope**2 / (p * (1 - p)), LEAST)

    def of(self, rows: NDArray) -> "Observation":
        """The same of some rows."""
        return Observation(self.gain[rows], self.floor[rows])


@dataclass(frozen=True)
class Growth:
    """How the trees grow."""

    trees: int
    depth: int
    rate: float
    prior_pairs: float  # l
    leaf_pairs: int  # fewest in a leaf
    seed: int


def boosted(z: NDArray, y: NDArray, log_odds: NDArray, link: Observation, growth: Growth) -> tuple[Tree, ...]:
    """Trees for the inputs z (M, F) and the records y (M,) of events with known log odds (M,)."""
    z = np.asarray(z, np.float32)
    rng = np.random.default_rng(growth.seed)
    grown: list[Tree] = []
    for _ in range(growth.trees):
        slope, information = link.newton(y, log_odds)
        structure = DecisionTreeRegressor(
            max_depth=growth.depth,
            min_samples_leaf=growth.leaf_pairs,
            max_features=SHARE_OF_INPUTS,
            random_state=int(rng.integers(2**31)),
        ).fit(z, slope / information, sample_weight=information)
        tree, step = _with_values(structure, z, slope, information, growth)
        grown.append(tree)
        log_odds = log_odds + step
    return tuple(grown)


def summed(trees: tuple[Tree, ...], z: NDArray) -> NDArray:
    """(M,) f of the inputs z (M, F)."""
    total = np.zeros(len(z))
    for tree in trees:
        total += tree.value[tree.paths(z)[-1]]
    return total


def contributions(trees: tuple[Tree, ...], z: NDArray) -> NDArray:
    """(M, F + 1) what every input moves f: the change of a node's value where the path splits by the input.

    The last column is where all paths start; rows sum to f (Saabas 2014).
    """
    parts = np.zeros((len(z), z.shape[1] + 1))
    rows = np.arange(len(z))
    for tree in trees:
        path = tree.paths(z)
        parts[:, -1] += tree.value[0]
        for before, after in pairwise(path):
            # in a leaf nothing changes, whatever the column
            np.add.at(parts, (rows, tree.feature[before]), tree.value[after] - tree.value[before])
    return parts


def _with_values(
    structure: DecisionTreeRegressor, z: NDArray, slope: NDArray, information: NDArray, growth: Growth
) -> tuple[Tree, NDArray]:
    """The grown tree with shrunk values, and its step (M,) for every pair."""
    nodes = structure.tree_
    passed = structure.decision_path(z)  # (M, N) sparse, 1 where a pair passes a node
    value = growth.rate * (passed.T @ slope) / (passed.T @ information + growth.prior_pairs)
    is_leaf = nodes.children_left == LEAF
    feature = np.where(is_leaf, LEAF, nodes.feature)
    threshold = np.where(is_leaf, 0.0, nodes.threshold)
    tree = Tree(feature, threshold, nodes.children_left, nodes.children_right, value)
    return tree, value[structure.apply(z)]
