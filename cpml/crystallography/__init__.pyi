from .cross_slip_pairs import cross_slip_pairs as cross_slip_pairs
from .disorientation import (
    disorientation_angle as disorientation_angle,
    disorientation_axis_angle as disorientation_axis_angle,
)
from .elasticity import hershey as hershey
from .materials import Material as Material, load_material as load_material
from .odf import Odf as Odf, estimate_odf as estimate_odf
from .odf_files import write_mtex as write_mtex, write_orientations as write_orientations
from .planes import plane_family as plane_family, usual_families as usual_families
from .rotations import (
    axis_angle_to_quaternion as axis_angle_to_quaternion,
    euler_to_quaternion as euler_to_quaternion,
    matrix_to_quaternion as matrix_to_quaternion,
    quaternion_conjugate as quaternion_conjugate,
    quaternion_multiply as quaternion_multiply,
    quaternion_to_euler as quaternion_to_euler,
    quaternion_to_matrix as quaternion_to_matrix,
    random_quaternions as random_quaternions,
    rotate as rotate,
)
from .schmid import schmid_factors as schmid_factors
from .slip_systems import Systems as Systems, systems as systems
from .symmetry import (
    LAUE_NUMBER as LAUE_NUMBER,
    group_of_lattice as group_of_lattice,
    proper_group as proper_group,
)
from .twinning import (
    twin_crystal_to_sample as twin_crystal_to_sample,
    twin_disorientation as twin_disorientation,
)
