"""Constant tensors of the 5-basis: products of deviators, tractions, and the spin of two tensors.

    sym(A B)_i      = sum_jk PRODUCT_ijk A_j B_k        deviator of (A B + B A) / 2
    axial[A, B]_a   = sum_jk COMMUTATOR_ajk A_j B_k     axial vector of A B - B A
    (T(v) A)_i      = sum_jab TRACTION_ijab A_j v_a v_b deviator of sym((A v) x v)
    dyad(v)_i       = sum_ab DYAD_iab v_a v_b           deviator of v x v

A rotation of the arguments rotates the results: they are all that tensors can be made of here.
"""

import numpy as np
import torch

from cpml.crystallography.tensors import to_matrix, to_vector
from cpml.plasticity.laws.spin import axial

_E = to_matrix(np.eye(5))  # (5, 3, 3)
_AB = np.einsum("jab,kbc->jkac", _E, _E)
_X = np.einsum("jca,bd->jabcd", _E, np.eye(3))  # (A v) x w for unit vectors v = a, w = b
PRODUCT = torch.tensor(np.moveaxis(to_vector((_AB + np.swapaxes(_AB, -1, -2)) / 2), -1, 0))
COMMUTATOR = torch.tensor(np.moveaxis(axial(_AB - np.swapaxes(_AB, -1, -2)), -1, 0))
TRACTION = torch.tensor(np.moveaxis(to_vector((_X + np.swapaxes(_X, -1, -2)) / 2), -1, 0))
_D = np.einsum("ac,bd->abcd", np.eye(3), np.eye(3))
DYAD = torch.tensor(np.moveaxis(to_vector((_D + np.swapaxes(_D, -1, -2)) / 2), -1, 0))
