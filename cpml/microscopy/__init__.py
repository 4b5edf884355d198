"""Maps and images read, grains found, footprints measured. Names load where they are first used."""

from importlib import import_module

# not lazy: the function has the name of its module; a later import of the module would take the function's place
from cpml.microscopy.slip_traces import SlipTraces, match_traces, slip_traces  # noqa: F401

_HOME = {
    "read_map": "readers",
    "read_stack": "readers",
    "write_map": "writers",
    "read_grain_file": "oim_files",
    "read_reconstructed_boundaries": "oim_files",
    "clean": "cleaning",
    "Cleaned": "cleaning",
    "EbsdMap": "ebsd_map",
    "MapPhase": "ebsd_map",
    "frame_rotation": "frames",
    "segment": "grains",
    "Grains": "grains",
    "kam": "gradients",
    "grod": "gradients",
    "kam_table": "gradients",
    "kam_gradient": "gradients",
    "boundary_distance": "gradients",
    "curvature": "lattice_curvature",
    "nye": "lattice_curvature",
    "orientation_noise": "lattice_curvature",
    "gnd": "dislocations",
    "dislocation_types": "dislocations",
    "weighted_burgers": "burgers",
    "boundary_transfer": "boundary_slip",
    "boundary_details": "boundary_geometry",
    "boundary_sides": "boundary_geometry",
    "grain_shapes": "shapes",
    "grain_spread": "shapes",
    "triple_junctions": "junctions",
    "nearest_csl": "csl",
    "write_graphml": "graph_export",
    "find_twins": "twins",
    "Twins": "twins",
    "twin_lamellae": "twin_evidence",
    "variant_fractions": "twin_evidence",
    "parent_probability": "twin_evidence",
    "read_dic": "dic",
    "DicField": "dic",
    "fit_affine": "dic",
    "Affine": "dic",
    "band_angles": "bands",
    "label_of_vectors": "dic",
    "max_shear": "strain",
    "effective_strain": "strain",
    "green_lagrange": "strain",
    "in_plane_rotation": "strain",
    "strain_measures": "strain",
    "read_traces": "labels",
    "traces_to_grains": "labels",
    "slip_labels": "labels",
    "twin_labels": "labels",
    "dic_labels": "labels",
    "DIC_SIGMA_DEG": "labels",
    "fill_holes": "cleaning",
    "grain_features": "features",
    "hex_axis_check": "checks",
    "trace_deviations": "checks",
    "flip_table": "checks",
    "lamella_deviations": "checks",
    "read_image": "images",
    "SemImage": "images",
    "flat_field": "images",
    "destripe": "images",
    "register_points": "image_registration",
    "Registration": "image_registration",
    "label_of_pixels": "image_registration",
    "sample_image": "image_registration",
    "detect_traces": "trace_detection",
    "tile_labels": "trace_detection",
    "structure_tensor": "line_field",
    "tensor_families": "line_field",
    "StructureTensor": "line_field",
    "band_displacements": "displacement_ratio",
    "displacement_direction": "displacement_ratio",
    "match_displacements": "displacement_ratio",
    "SlipActivity": "activity",
    "slip_activity": "activity",
    "in_plane_dyads": "activity",
    "register_dic": "registered",
    "RegisteredDic": "registered",
}


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
