"""One writer a format; `cpml.microscopy.io.writing` chooses among them."""
