import numpy as np
import pytest

from covidnet.errors import DivergedError
from covidnet.runs.scoring import score_model


def test_a_model_that_has_diverged_says_what_to_change():
    logits = np.zeros((4, 2))
    logits[1, 0] = np.nan
    with pytest.raises(DivergedError) as ended:
        score_model(logits, np.array([0, 1, 0, 1]), ["a", "b"], np.ones(2), None, None)
    assert str(ended.value) == (
        "The model gives 1 of 4 images logits that are not finite numbers, so nothing can be scored. Its training has "
        "diverged: lower model.learning_rate, or give trainer.precision=32."
    )
