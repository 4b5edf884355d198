"""Files that several commands write together."""

from cpml.files import merge_json, read_json


def test_merging_replaces_own_keys_and_keeps_the_others(tmp_path):
    """Two suites share one file: a rerun drops its stale numbers, not those of the other; NaN is left out."""
    path = tmp_path / "metrics.json"
    merge_json(path, {"a_old": 1.0}, replaces=("a_",))
    merge_json(path, {"b_one": 2.0}, replaces=("b_",))
    merge_json(path, {"a_new": 3.0, "a_nan": float("nan")}, replaces=("a_",))
    assert read_json(path) == {"a_new": 3.0, "b_one": 2.0}
