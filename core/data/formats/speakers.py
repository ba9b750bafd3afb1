"""Who speaks in a column of conversations: the keys of its messages, the names of its roles, and how its turns follow."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from core.data.entry import TAGS
from core.data.formats.asking import Ask
from core.data.formats.look import Look, Match
from core.data.formats.roles import CALLS, role_of
from core.data.formats.turns import TAG_PAIRS, tags_of

_TAG_OF = {"user": "user_tag", "assistant": "assistant_tag", "system": "system_tag", "tool": "observation_tag"}


@dataclass(frozen=True)
class Seen:
    """`names` are the role names by how often they speak; `leading` and `repeated` count the conversations that begin with
    the assistant, or in which one side speaks twice in a row."""

    role_tag: str
    content_tag: str
    names: tuple[str, ...]
    leading: int
    repeated: int

    @property
    def one_name_each(self) -> bool:
        """Whether every name is a known one and no role has two, so that LLaMA-Factory's tags can say who is who."""
        roles = [_role(name) for name in self.names]
        return None not in roles and len(set(roles)) == len(roles)


def seen(rows: Sequence[tuple[Look, Match]], column: str) -> Seen:
    names: Counter[str] = Counter()
    tags: Counter[tuple[str, str]] = Counter()
    leading = repeated = 0
    for look, _ in rows:
        turns = look.value(column.strip().lower())
        pair = tags_of(turns)
        if pair is None:
            continue
        tags[pair] += 1
        said = [each[pair[0]] for each in turns]
        names.update(said)
        roles = [role for role in map(_role, said) if role != "system"]
        leading += bool(roles) and roles[0] in ("assistant", "call")
        repeated += any(one == two and one in ("user", "assistant") for one, two in pairwise(roles))
    role_tag, content_tag = tags.most_common(1)[0][0] if tags else TAG_PAIRS[0]
    return Seen(role_tag, content_tag, tuple(name for name, _ in names.most_common()), leading, repeated)


def tags(found: Seen) -> dict[str, str]:
    """Return the tags that differ from LLaMA-Factory's; where a role has several names, the one that speaks most."""
    given = {"role_tag": found.role_tag, "content_tag": found.content_tag}
    if found.role_tag == "role":  # OpenAI's names, also of roles that the rows looked at do not have
        given |= {"user_tag": "user", "assistant_tag": "assistant"}
    named: set[str] = set()
    for name in found.names:
        role = _role(name)
        tag = "function_tag" if role == "call" else _TAG_OF.get(role or "", "")
        if tag and tag not in named:
            named.add(tag)
            given[tag] = name
    return {key: name for key, name in given.items() if TAGS[key] != name}


def asks(found: Seen) -> list[Ask]:
    """Return the questions about turns that are out of order."""
    questions = []
    if found.leading:
        questions.append(Ask("leading", ("drop", "refuse"), None, {"rows": found.leading}))
    if found.repeated:
        questions.append(Ask("repeated", ("join", "refuse"), None, {"rows": found.repeated}))
    return questions


def _role(name: str) -> str | None:
    return "call" if name in CALLS else role_of(name)
