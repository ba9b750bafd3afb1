"""What a sweep says of its best trial."""

from dataclasses import asdict

import pytest

from core.experiments import in_words
from core.experiments.space import RATE
from core.experiments.trials import Trial
from core.wording import languages, words


@pytest.mark.parametrize("language", languages())
def test_a_best_trial_of_which_nothing_tells_what_it_kept_says_nothing_of_that(language: str) -> None:
    t = words(language)
    trial = asdict(Trial(0, {RATE: 1e-3}, "complete", value=50.0, kept=None))
    result = {
        "kind": "sweep",
        "trials": [trial],
        "best": 0,
        "floor": 0.0,
        "against": {},
        "cost": {"runs": 1, "seconds": 9.0},
    }
    lines = in_words.told(result, t)
    assert t("experiment.best_alone", settings=in_words.setting(RATE, 1e-3, t), score="50 %") in lines
    assert not any(in_words.NOTHING in line for line in lines)
    kept = in_words.told({**result, "trials": [{**trial, "kept": 93.0}]}, t)
    assert any("93 %" in line for line in kept)
