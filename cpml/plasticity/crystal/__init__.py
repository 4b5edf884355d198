"""One crystal under given rates, stresses or some of both: the Newton solvers."""
