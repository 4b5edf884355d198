"""HR-DIC: displacement fields, strain, bands, and the slip systems that explain them."""
