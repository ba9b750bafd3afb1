"""Every finding that there is: how grave it usually is, and which fix mends it. The words stand in the locale files."""

from typing import Literal

Severity = Literal["error", "warning", "note"]
CODES: dict[str, tuple[Severity, str | None]] = {
    # structure: what stops a start
    "unreadable": ("error", "drop_unusable"),
    "changed": ("error", None),
    "missing_column": ("error", "drop_unusable"),
    "unusable_row": ("error", "drop_unusable"),
    "unknown_role": ("error", "drop_unusable"),
    "empty_answer": ("error", "drop_unusable"),
    "empty_question": ("error", "drop_unusable"),
    "empty_text": ("error", "drop_unusable"),
    "nothing_learnt": ("error", "drop_unusable"),
    "role_order": ("error", "mend_turns"),
    "leading_assistant": ("error", "mend_turns"),
    "ends_with_user": ("error", "mend_turns"),
    "placeholder": ("error", "fill"),
    "leakage": ("error", "drop_leaked"),
    # with a model, or for a run
    "no_learnt_tokens": ("error", "drop_unlearnable"),
    "not_rendered": ("error", "drop_unlearnable"),
    "truncated": ("warning", "drop_long"),
    "no_stop_token": ("warning", None),
    "many_tokens": ("note", None),
    "not_checked": ("warning", None),  # told by the start of a run
    # rows that are alike
    "duplicates": ("warning", "drop_duplicates"),
    "contradictions": ("warning", None),
    "near_duplicates": ("warning", "drop_near_duplicates"),
    "only_some_compared": ("note", None),
    "contamination": ("warning", "drop_contaminated"),
    "only_some_contamination": ("note", None),
    # what the texts give away
    "mojibake": ("warning", "repair_mojibake"),
    "invisible": ("warning", "strip_invisible"),
    "control_tokens": ("warning", "escape_control"),
    "template_residue": ("warning", "strip_residue"),
    "other_placeholder": ("warning", None),
    "bracket_placeholder": ("note", None),
    "other_identity": ("warning", "drop_other_identity"),
    "disclaimer": ("warning", "drop_disclaimers"),
    "secrets": ("warning", "redact"),
    "personal_data": ("warning", "redact"),
    # how long and how like each other
    "few_rows": ("warning", None),
    "few_test_rows": ("warning", None),
    "short_answers": ("note", "drop_short_answers"),
    "long_answers": ("note", None),
    "short_questions": ("note", None),
    "long_questions": ("note", None),
    "same_answer": ("note", None),
    "same_beginning": ("note", None),
    "copied_question": ("warning", "drop_copied"),
    "repetition": ("warning", "drop_repetition"),
    "language_mix": ("warning", None),
    "language_switch": ("warning", None),
    # classes, tasks and pairs
    "unbalanced_label": ("warning", None),
    "unbalanced_task": ("warning", None),
    "unbalanced_preference": ("warning", None),
    "small_label": ("warning", None),
    "small_task": ("warning", None),
    "equal_pair": ("warning", "drop_equal_pairs"),
    "longer_chosen": ("warning", None),
    "shorter_chosen": ("warning", None),
    # RAFT
    "raft_no_answer": ("warning", "drop_unmarked"),
    "raft_quotes": ("warning", "drop_unquotable"),
    "raft_same_passage": ("warning", None),
    "raft_question_in_passage": ("note", None),
    "raft_no_oracle": ("note", None),
}
# What depends on the model, the prompt, the cutoff or the test sets as well: accepted for so many rows, and not for ever.
BESIDE_CONTENT = frozenset({"truncated", "no_stop_token", "control_tokens", "contamination"})


def is_acceptance(text: str) -> bool:
    """Tell whether a text is `CODE` or `CODE=N`, as warnings are accepted."""
    code, equals, limit = text.partition("=")
    return code in CODES and (not equals or limit.isdecimal())
