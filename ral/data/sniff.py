"""The kind of a file by its first bytes: text in an encoding, compressed data, a table, or no entries at all."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

from ral.errors import UserError

HEAD = 2**12  # bytes that are looked at
PACKED = {  # first bytes -> name as pyarrow and people call it
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}
TABLES = {b"PAR1": "parquet", b"ARROW1": "arrow file", b"\xff\xff\xff\xff": "arrow stream"}
FOREIGN = {  # first bytes -> what it is; what to do
    b"PK\x03\x04": ("a zip archive (or a spreadsheet)", "unpack it and name the file in it, or save the sheet as CSV"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it, and name the file in it"),
    b"Rar!": ("a rar archive", "unpack it, and name the file in it"),
    b"SQLite format 3": ("an SQLite database", "write its rows as JSON lines"),
    b"\x89HDF": ("an HDF5 file", "write its rows as JSON lines"),
    b"\x93NUMPY": ("a NumPy array", "write its rows as JSON lines"),
    b"Obj\x01": ("an Avro file", "write its rows as JSON lines or parquet"),
    b"ORC": ("an ORC file", "write its rows as parquet"),
    b"%PDF": ("a PDF document", "write a file of entries"),
    b"\x89PNG": ("a picture", "write the file of entries, not one of its pictures"),
    b"\xff\xd8\xff": ("a picture", "write the file of entries, not one of its pictures"),
    b"GIF8": ("a picture", "write the file of entries, not one of its pictures"),
    b"RIFF": ("a picture or clip", "write the file of entries, not one of its media"),
    b"\x1aE\xdf\xa3": ("a clip", "write the file of entries, not one of its clips"),
    b"version https://git-lfs": ("a Git LFS pointer, not the file itself", "fetch it: git lfs pull"),
    b"<": ("a web page or XML", "fetch the file itself (a log-in or an error page came in its place)"),
    b"//": ("text that begins with a comment, which JSON has none of", "delete the comment"),
    b"/*": ("text that begins with a comment, which JSON has none of", "delete the comment"),
    b"[{'": ("Python's way of writing, with single quotes", "write it by json.dump"),
    b"{'": ("Python's way of writing, with single quotes", "write it by json.dump"),
    b"---": ("YAML", "write it as JSON"),
}
PLACED = ((257, b"ustar", "a tar archive"), (4, b"ftyp", "a clip"))  # byte, what stands there, what the file is
PICKLE = tuple(b"\x80" + bytes([protocol]) for protocol in (2, 3, 4, 5))
MARKS = {  # byte order marks; those of 32 bits begin like those of 16
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
UNMARKED: dict[
    tuple[bool, ...], str
] = {  # which of the first four bytes are zero where the first character is of ASCII
    (False, True, False, True): "utf-16-le",
    (True, False, True, False): "utf-16-be",
    (False, True, True, True): "utf-32-le",
    (True, True, True, False): "utf-32-be",
}


@dataclass(frozen=True)
class Kind:
    """Kind of a file. Exactly one field is filled, the others are "".

    packed: the compression, such as "gzip". table: "parquet", "arrow file" or "arrow stream". encoding: encoding of a
    text.
    """

    packed: str = ""
    table: str = ""
    encoding: str = ""


def kind_of_file(path: Path, named: Path | None = None) -> Kind:
    """Return the kind of a file. named: the path that messages name; None for `path`.

    UserError for a file that cannot hold entries, such as an archive or an image.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    for marks, wrap in ((PACKED, "packed"), (TABLES, "table")):
        for mark, name in marks.items():
            if head.startswith(mark):
                return Kind(**{wrap: name})
    _check_foreign(named or path, head)
    return Kind(encoding=_encoding(head))


def _check_foreign(path: Path, head: bytes) -> None:
    """Raise UserError where a file's first bytes show that it cannot hold entries."""
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    found = [what for mark, what in FOREIGN.items() if text.startswith(mark)]
    found += [(what, "write the file of entries") for at, mark, what in PLACED if head[at:].startswith(mark)]
    if head.startswith(PICKLE):
        found.append(("a pickle", "write its rows as JSON lines"))
    if len(head) > 1 and not head.strip(b"\0"):
        found.append(("nothing but zero bytes: it was not written whole", "fetch it again"))
    if found:
        what, write = found[0]
        raise UserError(f"{path}: is {what}; {write}")


def _encoding(head: bytes) -> str:
    """Return the encoding of a text by its byte order mark, or else by the zero bytes among its first four."""
    marked = [encoding for mark, encoding in MARKS.items() if head.startswith(mark)]
    return marked[0] if marked else UNMARKED.get(tuple(byte == 0 for byte in head[:4]), "utf-8")
