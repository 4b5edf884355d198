"""Constants of nature (CODATA 2018, exact)."""

BOLTZMANN = 1.380649e-23  # J/K
GAS = 8.314462618  # J/(mol K)
ELECTRON = 1.602176634e-19  # J per eV
