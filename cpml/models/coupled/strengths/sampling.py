"""Draws from F's posterior by Hamiltonian Monte Carlo, where Laplace's approximation is not good enough.

The no-U-turn sampler of Pyro moves in the coordinates in which Laplace's approximation is a standard normal
distribution, so few steps lead across; the search's bounds stay. Every step asks for the likelihood and its
slope: minutes for some hundred grains, where the quantiles along the ridge (`marginals`) take seconds.

References: Hoffman & Gelman 2014, J. Mach. Learn. Res. 15:1593; Bingham et al. 2019, J. Mach. Learn. Res.
20:28 (Pyro, optional: `pip install cpml[sampling]`).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.errors import CpmlError
from cpml.models.coupled.posterior import Posterior

OUTSIDE = 1e6
"""Nats per squared width beyond a bound: the sampler turns round there."""
DEPTH = 3
"""Doublings of a trajectory: seven steps lead across where the coordinates are those of a normal density."""


def sample(posterior: Posterior, vector: Tensor, covariance: NDArray, *, number: int, seed: int) -> NDArray:
    """(number, P) draws of the parameters.

    Parameters
    ----------
    vector : of the maximum; covariance : Laplace's
    number : draws after half as many that tune the step

    Raises
    ------
    CpmlError : Pyro is not installed
    """
    try:
        import pyro
        from pyro.infer.mcmc import MCMC, NUTS
    except ImportError:
        raise CpmlError("sampling needs Pyro: pip install cpml[sampling], or fit with samples=0") from None
    n = len(vector)
    root = torch.tensor(np.linalg.cholesky(covariance + 1e-12 * np.eye(n)))
    centre, width = posterior.prior.centre(), torch.tensor(posterior.prior.width())
    bound = posterior.numerics.bound

    def potential(point: dict[str, Tensor]) -> Tensor:
        base = vector + root @ point["z"]
        beyond = (((base - centre) / width).abs() - bound).clamp(min=0.0)
        inside = centre + width * ((base - centre) / width).clamp(-bound, bound)
        return posterior.cost(inside) + OUTSIDE * (beyond**2).sum()

    pyro.set_rng_seed(seed)
    kernel = NUTS(potential_fn=potential, max_tree_depth=DEPTH, full_mass=False)
    start = {"z": torch.zeros(n, dtype=vector.dtype)}
    chain = MCMC(
        kernel,
        num_samples=number,
        warmup_steps=max(number // 2, 10),
        initial_params=start,
        disable_progbar=True,
    )
    chain.run()
    z = chain.get_samples()["z"].numpy()
    drawn = vector.numpy() + z @ root.numpy().T
    return np.clip(drawn, (centre - bound * width).numpy(), (centre + bound * width).numpy())
