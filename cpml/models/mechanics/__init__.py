"""Where a grain's stress comes from; shared by the coupled model and the baselines."""
