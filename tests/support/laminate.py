"""Two layers normal to x, each uniform: what the full field must find, by root finding."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import root

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.tensors import rotation_5x5, to_vector
from cpml.plasticity import Conditions, PowerLaw
from cpml.plasticity.arguments import as_tensor


def laminate(
    laws: list[PowerLaw],
    orientations: NDArray,
    conditions: Conditions,
    share: float = 0.5,
    kind: str = "bulk",
) -> tuple[NDArray, NDArray]:
    """Deviatoric stresses and strain rates (2, 5) of the layers; `share` is that of the first.

    Bulk: the layers differ by D_xy, D_xz, whose stresses are equal. Plate: every layer is free of sigma_zz,
    sigma_xz, sigma_yz, the layers share sigma_xx, sigma_xy and D_yy. Exponents grow from 1 to those of the
    laws, each from the solution of the last.
    """
    schmid = [
        law.systems.schmid5 @ rotation_5x5(quaternion_to_matrix(q)).T
        for law, q in zip(laws, orientations, strict=True)
    ]
    strength = [law.system_strength.detach().numpy() for law in laws]
    rate0 = [as_tensor(law.reference_rate).item() for law in laws]
    unit = conditions.rate_size
    weights = np.array([share, 1 - share])
    # the unit of stress is a constant, so that the equations are linear at n = 1 and have one answer
    size = np.concatenate(strength).mean()

    def flow(k: int, stress: NDArray, n: float) -> NDArray:
        # strengths at the macroscopic rate, so that every exponent leads to stresses of a like size
        final = as_tensor(laws[k].n).item()
        x = schmid[k] @ stress / (strength[k] * (unit / rate0[k]) ** (1 / final))
        return (np.abs(x) ** n * np.sign(x)) @ schmid[k]

    def equations(unknown: NDArray, share_of_n: float) -> NDArray:
        stress = unknown[:10].reshape(2, 5)
        rate = np.array([flow(k, stress[k], as_tensor(laws[k].n).item() ** share_of_n) for k in (0, 1)])
        # two layers: the stresses whose strain rates may jump are equal, all other strain rates are
        xx, yy, zz, yz, xz, xy = (to_vector(np.outer(a, b) + np.outer(b, a)) / 2 for a, b in _pairs())
        jump = stress[0] - stress[1]
        if kind == "bulk":
            conserved = [jump @ xy, jump @ xz]
            held = [(rate[0] - rate[1]) @ v for v in (yy, zz, yz)]
        else:  # sigma_zz = 0: Cauchy stress is s - s_zz
            conserved = [jump @ (xx - zz), jump @ xy, *(s @ v for s in stress for v in (xz, yz))]
            held = [(rate[0] - rate[1]) @ yy]
        mean_rate, mean_stress = weights @ rate, weights @ stress
        macro = [
            conditions.rate_rows @ mean_rate - conditions.rate_values / unit,
            (conditions.stress_rows @ mean_stress - conditions.stress_values) / size,
        ]
        if kind == "plate":  # what is said of the shears of a free face, the gap answers
            rows = (conditions.rate_rows, conditions.stress_rows)
            macro = [
                m[np.abs(r @ np.array([xz, yz]).T).max(1) < 1e-9] for m, r in zip(macro, rows, strict=True)
            ]
        return np.concatenate([np.array(conserved) / size, held, *macro])

    start = np.concatenate(
        [10 * strength[k].mean() * np.array([0.1, -0.5, 0.02, 0.03, 0.01]) for k in (0, 1)]
    )
    for part in np.linspace(0, 1, 25):
        found = root(equations, start, args=(part,), method="lm", options={"xtol": 1e-14, "ftol": 1e-14})
        start = found.x
    assert np.abs(found.fun).max() < 1e-9
    stress = start.reshape(2, 5)
    rate = np.array([flow(k, stress[k], as_tensor(laws[k].n).item()) for k in (0, 1)]) * unit
    return stress, rate


def _pairs() -> list[tuple[NDArray, NDArray]]:
    e = np.eye(3)
    return [(e[i], e[j]) for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))]
