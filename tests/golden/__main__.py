"""`python -m tests.golden` writes the golden losses anew."""

import tests.conftest  # noqa: F401  # the tests' settings of JAX
from tests.golden import FILE, write_golden_file

if __name__ == "__main__":
    write_golden_file()
    print(FILE)
