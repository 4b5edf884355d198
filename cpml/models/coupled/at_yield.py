"""A grain that deforms is at yield: which of the drawn stresses of a grain can be its stress.

A scheme gives a grain's stress with a normal error, m_g and C_g. Its flow hardly depends on the size of the
stress (n is large), so the stress lies in a thin shell, the yield surface of its crystal,

    X(sigma) = (sum_s |tau_s / xi_s|^n)^(1/n) = c

and only its direction is open. A draw sigma is therefore a ray: it meets the shell at rho sigma with rho =
c / X(sigma), and it counts as much as the normal density there, over the density of the ray itself,

    w = rho^5 exp(-a (rho - r)^2 / 2) / (r^4 a^(-1/2)),   a = sigma . C^-1 sigma,   r = m . C^-1 sigma / a

(the integral of the normal density along the ray by Laplace's method; r is where the ray is likeliest,
1 / a^(1/2) its width). Without it, draws that load a soft system far beyond its strength, as no grain bears,
count in full, and soft families take shear from hard ones. c is common to all grains and a little above the X
of their means, because a mean of points of a convex surface lies inside.

| symbol | meaning | unit | shape |
|---|---|---|---|
| sigma, m, C | drawn stress, its mean and covariance | mean stress | (G, K, 5), (G, 5), (G, 5, 5) |
| X | equivalent of the resolved stresses over the strengths | - | (G, K), (G,) |
| w | weight of a draw, mean 1 over the draws of a grain | - | (G, K) |
"""

import torch
from torch import Tensor

BEYOND_MEAN = 1.1
"""c over the mean of X(m_g), chosen on two magnesium volumes of another code: at their true strengths the
families' shares of shear are met within .03, with c at the mean itself within .09, unweighted within .05."""
LEAST_RADIUS = 0.05
"""Of r: a ray that leads away from the mean is as unlikely as it gets."""


def log_weights(
    stress: Tensor, mean: Tensor, inverse_root: Tensor, log_size: Tensor, log_size_of_mean: Tensor
) -> Tensor:
    """log w (G, K), not normalised.

    Parameters
    ----------
    stress : (G, K, 5); mean : (G, 5); inverse_root : (G, 5, 5) of the symmetric root of C
    log_size, log_size_of_mean : log X of both, (G, K) and (G,)
    """
    drawn = stress @ inverse_root.mT
    centre = torch.einsum("gij,gj->gi", inverse_root, mean)
    a = (drawn**2).sum(-1).clamp(min=1e-12)
    r = ((drawn * centre[:, None, :]).sum(-1) / a).clamp(min=LEAST_RADIUS)
    log_rho = torch.log(BEYOND_MEAN * log_size_of_mean.exp().mean()) - log_size
    return 5 * log_rho - 0.5 * a * (log_rho.exp() - r) ** 2 - 4 * torch.log(r) + 0.5 * torch.log(a)
