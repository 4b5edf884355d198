"""One reader a format; `cpml.microscopy.io.reading` chooses among them."""
