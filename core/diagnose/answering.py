"""What the answers look like: style without facts, cut off, going round in circles, thrown by dice, too few to tell."""

from statistics import median

from core.diagnose.evidence import Evidence
from core.diagnose.finding import Finding
from core.diagnose.tested import HALF, Tested
from core.train.advice import FEW_STEPS

OVERLAP = ("rougeL", "chrf", "bleu")  # metrics that rise when the wording does
STYLE = 10.0  # points; chosen by us: so much more overlap is a style that was taken on
NO_GAIN = 5.0  # points; chosen by us: fewer are no reason to go on in the same way
OFTEN = 0.1  # of the answers; chosen by us: one in ten bad endings is seen by whoever tries the model
SEVERAL = 3  # answers; chosen by us: one or two may be odd questions
ROOM = 1.25  # times the length that would have been needed
HOT = 0.7  # chosen by us: what chats use, and where answers to facts begin to differ from one time to the next
TALKED_OF = 5.0  # points; chosen by us: a difference that somebody would act upon
PENALTY = 1.1  # Keskar et al. 2019 use 1.2; chosen by us: less, since short answers repeat words of their question
MOST_TOKENS = 8192


def style_not_facts(seen: Evidence) -> Finding | None:
    """The wording came nearer to what was expected, and the answers are as wrong as before."""
    if seen.asked_step < FEW_STEPS:  # too few steps explain it, and ask for something else
        return None
    for test in sorted(seen.own_tests, key=lambda each: each.tuned):
        if not test.is_known or test.tuned >= HALF or (test.is_better and test.gain >= NO_GAIN):
            continue
        for metric in OVERLAP:
            compared = test.compared(metric)
            if compared.get("winner") == "who" and compared["difference"] >= STYLE:
                settings = seen.settings
                changes = {
                    "lora.rank": min(64, 2 * settings.lora.rank),
                    "schedule.epochs": 2 * settings.schedule.epochs,
                }
                before, after = test.of("base", metric) or 0.0, test.of("tuned", metric) or 0.0
                values = {**test.numbers(), "metric": [f"metric.{metric}"], "before": before, "after": after}
                return Finding("style_not_facts", "warning", values, changes)
    return None


def cut_off(seen: Evidence) -> Finding | None:
    """Answers reached the longest length before they were as long as what was expected."""
    for test, cut, answers in _cut(seen):
        short = [len(wanted) / max(1, len(text)) for text, wanted in cut if len(text) < len(wanted)]
        if 2 * len(short) <= len(cut):
            continue
        longest = seen.score["decoding"]["max_new_tokens"]
        needed = min(MOST_TOKENS, 64 * -(-int(longest * max(short) * ROOM) // 64))
        values = {"test": test.name, "cut": len(cut), "n": answers, "tokens": longest, "needed": needed}
        return Finding("cut_off", "warning", values, ask={"max_new_tokens": needed})
    return None


def never_stops(seen: Evidence) -> Finding | None:
    """Answers are longer than what was expected and still did not end by themselves."""
    for test, cut, answers in _cut(seen):
        over = [len(text) / max(1, len(wanted)) for text, wanted in cut if len(text) >= len(wanted)]
        if 2 * len(over) < len(cut):
            continue
        values = {"test": test.name, "cut": len(cut), "n": answers, "times": median(over),
                  "tokens": seen.score["decoding"]["max_new_tokens"]}  # fmt: skip
        return Finding("never_stops", "warning", values, {"schedule.epochs": 2 * seen.settings.schedule.epochs})
    return None


def _cut(seen: Evidence) -> list[tuple[Tested, list[tuple[str, str]], int]]:
    """Return the sets of which many answers did not end: with those answers, what was expected, and how many were given."""
    found = []
    for test in seen.tests:
        said = [(text, item.expected, ended) for item, text, ended in seen.said(test.name) if item.expected]
        cut = [(text, wanted) for text, wanted, ended in said if not ended]
        if len(cut) >= SEVERAL and len(cut) > OFTEN * len(said):
            found.append((test, cut, len(said)))
    return found


def loops(seen: Evidence) -> Finding | None:
    """Answers go round in circles, more of them than the base's, by more than chance."""
    for test in seen.tests:
        base, tuned = test.of("base", "loops") or 0.0, test.of("tuned", "loops") or 0.0
        if tuned <= 100 * OFTEN or test.compared("loops").get("winner") != "who":  # whoever has more of it
            continue
        values = {"test": test.name, "n": test.n, "base": base, "tuned": tuned}
        changes = {"schedule.epochs": 2 * seen.settings.schedule.epochs}
        return Finding("loops", "warning", values, changes, ask={"repetition_penalty": PENALTY})
    return None


def hot(seen: Evidence) -> Finding | None:
    """Asked with dice: the same model is better when it is asked greedily, or nobody has looked and the answers are bad."""
    temperature = (seen.score.get("decoding") or {}).get("temperature", 0.0)
    if not temperature:
        return None
    greedy = {
        name: Tested(name, values)
        for score in reversed(seen.other_scores)
        if not score["decoding"].get("temperature", 0.0) and score["adapter"] == seen.score["adapter"]
        for name, values in score["datasets"].items()
    }
    for test in seen.own_tests:
        cold = greedy.get(test.name)
        values = {"temperature": temperature, **test.numbers()}
        if cold and cold.n == test.n and cold.tuned - test.tuned >= TALKED_OF:
            return Finding("hot", "warning", {**values, "greedy": cold.tuned}, ask={"temperature": 0.0})
        if cold is None and temperature >= HOT and test.is_known and test.tuned < HALF:
            return Finding("hot_unknown", "note", values, ask={"temperature": 0.0})
    return None


def too_few_to_tell(seen: Evidence) -> Finding | None:
    """A difference that somebody would act upon, and too few questions to tell it from chance."""
    for test in seen.tests:
        compared = test.compared()
        if compared and not compared["winner"] and abs(compared["difference"]) >= TALKED_OF and compared["needed"]:
            if compared["needed"] <= test.n:
                continue
            values = {**test.numbers(), **{name: compared[name] for name in ("difference", "low", "high", "needed")}}
            return Finding("too_few_to_tell", "note", values)
    return None
