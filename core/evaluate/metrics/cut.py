"""Chinese words as jieba cuts them, without its cache and without its wait on long runs.

jieba reads and writes its dictionary, marshalled, in the temporary folder that all users share, where anybody may put
another, and it prints how that went; so the dictionary is built here, from jieba's own file, once a process (0.8 s). Its
search for names in runs of single characters copies each path at every character: 10,000 times one character, as a model
in a loop answers, takes it half a second. The same search with a table of steps is linear. What is cut is tested to be what
jieba cuts.
"""

import warnings
from collections.abc import Iterator
from functools import cache

with warnings.catch_warnings():  # it looks for pkg_resources, which where it is there warns of its own end
    warnings.simplefilter("ignore")
    import jieba
    from jieba import finalseg

# Of the four states of a character (Begin, Middle, End, Single): the two that may stand before each, by the alphabet.
_BEFORE = {"B": "ES", "M": "BM", "E": "BM", "S": "ES"}


@cache
def _dictionary() -> jieba.Tokenizer:
    tokenizer = jieba.Tokenizer()
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True  # or it would look for the cache
    return tokenizer


def cut(text: str) -> list[str]:
    """Return the pieces of a text, those that `jieba.cut` gives: words, and each other sign and white space."""
    found: list[str] = []
    for block in filter(None, jieba.re_han_default.split(text)):
        if jieba.re_han_default.match(block):
            found += _words(block)
            continue
        for piece in jieba.re_skip_default.split(block):
            found += [piece] if jieba.re_skip_default.match(piece) else list(piece)
    return found


def _words(block: str) -> Iterator[str]:
    """Yield the most probable words of the dictionary; runs of single characters are searched for unknown words."""
    dictionary = _dictionary()
    route: dict[int, tuple[float, int]] = {}
    dictionary.calc(block, dictionary.get_DAG(block), route)
    start = singles = 0
    while start < len(block):
        end = route[start][1] + 1
        if end - start > 1:
            yield from _unknown(block[singles:start])
            yield block[start:end]
            singles = end
        start = end
    yield from _unknown(block[singles:])


def _unknown(run: str) -> Iterator[str]:
    if len(run) < 2 or _dictionary().FREQ.get(run):
        yield from run
        return
    for block in filter(None, finalseg.re_han.split(run)):
        if finalseg.re_han.match(block):
            yield from _joined(block, _states(block))
        else:
            yield from filter(None, finalseg.re_skip.split(block))


def _joined(block: str, states: str) -> Iterator[str]:
    start = 0
    for place, state in enumerate(states, 1):
        if state in "ES":
            yield block[start:place]
            start = place


def _states(block: str) -> str:
    """Return the most probable state of each character of a block (Viterbi), with jieba's probabilities.

    Written out for its four states, since a general loop over them takes three times as long.
    """
    least = finalseg.MIN_FLOAT
    emits = [finalseg.emit_P[state] for state in "BMES"]
    move = {before + after: odds for before, theirs in finalseg.trans_P.items() for after, odds in theirs.items()}
    (eb, sb), (bm, mm), (be, me), (es, ss) = ([move[b + a] for b in _BEFORE[a]] for a in "BMES")
    b, m, e, s = (finalseg.start_P[a] + emit.get(block[0], least) for a, emit in zip("BMES", emits, strict=True))
    steps = []
    for character in block[1:]:
        said_b, said_m, said_e, said_s = (emit.get(character, least) for emit in emits)
        b_e, b_s = e + eb + said_b, s + sb + said_b
        m_b, m_m = b + bm + said_m, m + mm + said_m
        e_b, e_m = b + be + said_e, m + me + said_e
        s_e, s_s = e + es + said_s, s + ss + said_s
        # A tie goes to the later letter, as jieba's does.
        steps.append({"B": b_s >= b_e, "M": m_m >= m_b, "E": e_m >= e_b, "S": s_s >= s_e})
        b, m, e, s = max(b_e, b_s), max(m_b, m_m), max(e_b, e_m), max(s_e, s_s)
    states = ["S" if s >= e else "E"]
    for later in reversed(steps):
        states.append(_BEFORE[states[-1]][later[states[-1]]])
    return "".join(reversed(states))
