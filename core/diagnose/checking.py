"""What the doctor found in the training data, now that the answers show what it did; and test rows that were learnt."""

from collections.abc import Iterator

from core.data.entry import DatasetEntry
from core.data.registry import Registry
from core.diagnose.evidence import IDENTITY, NEARLY_ALL, Evidence
from core.diagnose.finding import Finding
from core.diagnose.tested import Tested
from core.doctor.examine import cached, report
from core.doctor.report import THOROUGH_UP_TO, Finding as DataFinding

CONTRARY = 0.05  # of the rows; chosen by us: fewer may be several right answers to one question
LEAKED = 0.1  # of the questions of a test; chosen by us: fewer move its score by less than its interval is wide


def contradictions(seen: Evidence) -> Finding | None:
    """Rows of one training set contradict each other, and answers are wrong."""
    if not seen.is_short:
        return None
    for entry, found in _found(seen, "contradictions"):
        if found.count > CONTRARY * entry.rows:
            values = {"set": entry.name, "count": found.count, "rows": entry.rows, "place": found.lines[0]}
            return Finding("contradictions", "error", values)
    return None


def other_identity(seen: Evidence) -> Finding | None:
    """Training rows claim to be another maker's model, and so does the tuned model now and then."""
    told = [each for each in seen.aims if each.name == IDENTITY]
    if not told or (told[0].tuned >= NEARLY_ALL and not seen.identity.get("leaked")):
        return None
    for entry, found in _found(seen, "other_identity"):
        values = {**told[0].numbers(), "set": entry.name, "count": found.count, "names": found.values.get("names", "")}
        return Finding("other_identity", "error", {**values, "leaked": seen.identity.get("leaked", 0)})
    return None


def leaked(seen: Evidence) -> Finding | None:
    """The test asks what was learnt, so that its score shows memory."""
    registry = Registry(seen.workspace)
    known = set(registry.names())
    for test in seen.tests:
        if test.name not in known:
            continue
        asked = registry.get(test.name)
        rows, where = _learnt_of(seen, asked, test)
        if rows > LEAKED * test.n:
            others = [name for name in seen.settings.data.test if name != test.name]
            values = {**test.numbers(), "rows": rows, "set": where}
            return Finding("leaked", "warning", values, {"data.test": others} if others else {})
    return None


def _learnt_of(seen: Evidence, asked: DatasetEntry, test: Tested) -> tuple[int, str]:
    """Return how many rows of a test were learnt, and from which set."""
    for entry in seen.learnt:
        if entry.file == asked.file and not (asked.parts and asked.parts.test):
            return test.n, entry.name
        if entry.file != asked.file and asked.name not in seen.settings.data.test:  # the others were looked at before
            identical = [each for each in report(seen.workspace, entry, against=[asked], thorough=False).findings
                         if each.code == "leakage"]  # fmt: skip
            if identical:
                return min(identical[0].count, test.n), entry.name
    return 0, ""


def _found(seen: Evidence, code: str) -> Iterator[tuple[DatasetEntry, DataFinding]]:
    """Yield what the start of the run accepted of a kind: set and finding, where the set is still the one that was learnt."""
    accepted = seen.run.config.get("findings") or {}
    for entry in seen.learnt:
        codes = [each.partition("=")[0] for each in accepted.get(entry.name, {}).get("accepted", ())]
        if code not in codes:
            continue
        examined = cached(seen.workspace, entry)
        if examined is None or not examined.thorough:
            examined = report(seen.workspace, entry, thorough=0 < entry.rows <= THOROUGH_UP_TO)
        yield from ((entry, each) for each in examined.findings if each.code == code)
