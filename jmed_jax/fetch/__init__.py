"""Public data from its own homes: pinned, licence accepted first, converted to the layout that the package reads."""
