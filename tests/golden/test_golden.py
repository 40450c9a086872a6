import json

import numpy as np

from tests.golden import FILE, golden_losses


def test_the_losses_of_twenty_steps_have_not_moved() -> None:
    losses = golden_losses()
    np.testing.assert_allclose(losses, json.loads(FILE.read_text())["losses"], rtol=1e-4, err_msg="see tests/golden")
    # It learns: the first loss is that of a guess over the whole vocabulary.
    assert losses[-1] < losses[0] - 3
