"""What a file holds, told from its content; the name only decides between what looks alike."""

import re
from typing import Literal

from core.data.containers.row import ROW_LIMIT, Broken
from core.data.containers.source import Source
from core.errors import DataError, problem

Container = Literal["json", "jsonl", "csv", "tsv", "parquet", "arrow", "text", "gzip", "zip", "folder"]
SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".ndjson", ".parquet", ".arrow", ".txt", ".md", ".gz", ".zip")
PLAIN = (".json", ".jsonl", ".csv", ".tsv")  # kept byte for byte when they are registered
_READABLE = tuple(suffix for suffix in SUFFIXES if suffix != ".gz")  # of what is left when `.gz` was taken off
_NAMED: dict[str, Container] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "text",
    ".md": "text",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".zip": "zip",
}
_BEGINNINGS = (  # of files that are often saved under another name; the words are the same in every language
    (b"\x1f\x8b", "gzip", ".gz"),
    (b"PK\x03\x04", "ZIP", ".zip"),
    (b"PAR1", "Parquet", ".parquet"),
    (b"ARROW1", "Arrow", ".arrow"),
    (b"%PDF", "PDF", ".pdf"),
    (b"\xd0\xcf\x11\xe0", "Excel / Word 97", ".xls"),
    (b"\x28\xb5\x2f\xfd", "Zstandard", ".zst"),
    (b"7z\xbc\xaf", "7-Zip", ".7z"),
    (b"SQLite format 3", "SQLite", ".db"),
    (b"\x89PNG", "PNG", ".png"),
    (b"\xff\xd8\xff", "JPEG", ".jpg"),
)
_INSTEAD = (  # what stands in a file when the download of it went wrong
    (re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE), "data.web_page"),
    (re.compile(rb"version https://git-lfs"), "data.lfs_pointer"),
)
_OFFICE = re.compile(
    rb"\[Content_Types\]\.xml|_rels/\.rels|docProps/|xl/workbook|word/document"
)  # what the ZIP of a document begins with
_JSON_BEGINS = re.compile(rb"""\s*(\{\s*"|\[\s*[\[{])""")


def sniff(source: Source) -> Container:
    """Return what a source holds once it is unpacked: never `gzip` or `folder`.

    Raises:
        DataError: `data.suffix` for a name that is not supported, `data.wrong_suffix` for content that does not fit the name,
            `data.foreign_kind` for what cannot be read at all, `data.empty_file`, or what is wrong with a packed file whose
            first bytes cannot be unpacked.
    """
    source = source.quiet()
    if source.suffix not in _READABLE and not (source.packed and not source.suffix):
        shown = f"{source.suffix}.gz" if source.packed else source.suffix or "-"
        raise DataError(problem("data.suffix", source.name, suffix=shown, supported=", ".join(SUFFIXES)))
    try:
        first = next(source.raw(), b"")[:200]
    except Broken as error:
        raise DataError(problem(error.code, f"{source.name}:1", **error.values)) from error
    named = _NAMED.get(source.suffix)
    kind, suffix = next(((kind, suffix) for mark, kind, suffix in _BEGINNINGS if first.startswith(mark)), ("", ""))
    if suffix == ".zip" and _OFFICE.search(first):
        kind, suffix = "Excel / Word", ".xlsx"
    if kind and suffix not in SUFFIXES:
        raise DataError(problem("data.foreign_kind", source.name, kind=kind, supported=", ".join(SUFFIXES)))
    if kind and suffix != source.suffix:
        raise DataError(problem("data.wrong_suffix", source.name, suffix=source.suffix, kind=kind, right=suffix))
    for pattern, code in _INSTEAD if named != "text" else ():
        if pattern.match(first):
            raise DataError(problem(code, source.name))
    if named in ("csv", "tsv") and _JSON_BEGINS.match(first):
        values = {"suffix": source.suffix, "kind": "JSON", "right": ".jsonl"}
        raise DataError(problem("data.wrong_suffix", source.name, **values))
    if named in ("parquet", "zip") and not kind:
        raise DataError(problem("data.not_what_it_says", source.name, suffix=source.suffix))
    if named in ("parquet", "arrow", "zip"):
        return named
    head = source.head()
    if not head and source.is_blank():
        raise DataError(problem("data.empty_file", source.name))
    return named or _json(source, head)


def _json(source: Source, head: bytes) -> Container:
    start = head.lstrip()
    if start.startswith(b"["):
        return "json"
    if source.suffix in (".jsonl", ".ndjson") or (source.packed and not source.suffix):
        return "jsonl"
    if not start.startswith(b"{"):
        return "json"
    first, rest = _two_lines(source)
    return "jsonl" if first.rstrip().endswith(b"}") or rest.lstrip().startswith(b"{") else "json"


def _two_lines(source: Source) -> tuple[bytes, bytes]:
    """Return the first line and the beginning of what follows; a line over 32 MB is cut."""
    data = b""
    for chunk in source.chunks():
        data = data.lstrip() + chunk
        first, _, rest = data.partition(b"\n")
        if rest.strip() or len(data) > ROW_LIMIT:
            return first, rest
    first, _, rest = data.lstrip().partition(b"\n")
    return first, rest
