"""Forms, whole and in pieces: what is read of them does not depend on how they come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_multipart.multipart import MultipartParser

from service.errors import InvalidInput
from service.uploads.multipart import HELD_BYTES, FileForm, usual_files
from tests.generated import steady

BOUNDARY = "b"
DISPOSITION = b'Content-Disposition: form-data; name="file"'
USUAL = b"--b\r\n" + DISPOSITION + b'; filename="7.png"\r\nContent-Type: image/png\r\n\r\n'


def read(*chunks: bytes, held_bytes: int = HELD_BYTES) -> list[bytes] | str:
    """The files of a form that comes in these pieces, or what is wrong with it."""
    form = FileForm(f"multipart/form-data; boundary={BOUNDARY}", held_bytes)
    try:
        for chunk in chunks:
            form.write(chunk)
        return form.finish()
    except InvalidInput as error:
        return error.detail


def parsed(*chunks: bytes) -> list[bytes] | str:
    """The same by the parser alone, whatever the form is like."""
    return read(*chunks, held_bytes=-1)


def in_bytes(form: bytes) -> list[bytes]:
    return [form[i : i + 1] for i in range(len(form))]


@pytest.mark.parametrize(
    ("form", "files"),
    [
        (USUAL + b"x\r\n--b--\r\n", [b"x"]),
        (USUAL + b"x\r\n--b--", [b"x"]),
        (USUAL + b"\r\n--b--\r\n", [b""]),
        (USUAL + b"x\r\n--b--\r\nepilogue", [b"x"]),
        (USUAL + b"x\r\n--\r\n--b--\r\n", [b"x\r\n--"]),
        (USUAL + b"x\r\n" + USUAL + b"y\r\n--b--\r\n", [b"x", b"y"]),
        (b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b--\r\n', [b"x"]),
        (b"--b\r\ncontent-disposition: form-data; name=file\r\n\r\nx\r\n--b--\r\n", [b"x"]),
        (b"--b\r\nContent-Type: a/b\r\n" + DISPOSITION + b"\r\n\r\nx\r\n--b--\r\n", [b"x"]),
    ],
)
def test_the_files_of_a_form(form: bytes, files: list[bytes]) -> None:
    assert read(form) == files
    assert read(*in_bytes(form)) == files
    assert parsed(form) == files
    assert parsed(*in_bytes(form)) == files


def part(name: str, content: bytes, filename: str | None = "7.png") -> bytes:
    named = "" if filename is None else f'; filename="{filename}"'
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return head.encode() + content + b"\r\n"


END = b"--b--\r\n"


@pytest.mark.parametrize(
    ("form", "files"),
    [
        (part("file[]", b"x") + part("file[]", b"y") + END, [b"x", b"y"]),
        (part("file[0]", b"x") + part("file[1]", b"y") + END, [b"x", b"y"]),
        (part("file[1]", b"x") + part("file[0]", b"y") + END, [b"x", b"y"]),
        (part("file", b"x") + part("file[]", b"y") + part("file[17]", b"z") + END, [b"x", b"y", b"z"]),
        (part("file", b"x") + part("file", b"", "") + END, [b"x"]),
        (part("file[]", b"", "") + part("file[]", b"x") + part("file[]", b"", "") + END, [b"x"]),
        (part("file", b"", "") + END, [b""]),
        (part("file", b"", "") + part("file", b"", "") + END, [b""]),
        (part("file", b"x", "") + END, [b"x"]),
        (part("file", b"x") + part("file", b"", "7.png") + END, [b"x", b""]),
        (part("file", b"x") + part("file", b"", None) + END, [b"x", b""]),
    ],
    ids=range(11),
)
def test_lists_of_files_and_inputs_without_one(form: bytes, files: list[bytes]) -> None:
    """As PHP, axios, Faraday and jQuery call them; as a browser sends an input where none was chosen."""
    assert read(form) == files
    assert read(*in_bytes(form)) == files
    assert parsed(form) == files
    assert parsed(*in_bytes(form)) == files
    assert usual_files(form, BOUNDARY.encode()) == (files if files != [b""] else [])


@pytest.mark.parametrize(
    "name",
    ["files", "files[]", "file[", "file[a]", "file[0][]", "file[-1]", "file[12345]", "File", "image"],
)
def test_other_names_are_told(name: str) -> None:
    assert read(part(name, b"x") + END) == f"The form has a field {name!r} that is not known."


def test_an_input_without_a_file_takes_no_place() -> None:
    none, of_64 = part("file", b"", ""), part("file", b"x", "") * 64
    assert read(none * 3 + of_64 + END) == parsed(none * 3 + of_64 + END) == [b"x"] * 64
    one_more = none + of_64 + part("file[]", b"x") + END
    assert read(one_more) == parsed(one_more) == "The form has more than 64 files."


@pytest.mark.parametrize(
    "preamble", [b"\r\n", b"\r\n; -\r\n", b"For clients of old.\r\n", b"--a--b\r\n", b"\r\n--\r\n"]
)
def test_what_comes_before_the_first_boundary_is_ignored(preamble: bytes) -> None:
    """However it is cut: python-multipart reads or refuses it by that."""
    form = preamble + part("file", b"x") + END
    assert read(form) == read(*in_bytes(form)) == parsed(form) == parsed(*in_bytes(form)) == [b"x"]


def test_what_comes_after_a_form_that_looked_whole_is_ignored() -> None:
    assert read(USUAL + b"x\r\n--b--", b"\r\n", b"epilogue") == [b"x"]


PIECES = st.sampled_from(
    [
        b"--b",
        b"\r\n",
        b"--",
        b"\r\n--b--\r\n",
        b"\r\n\r\n",
        DISPOSITION,
        b'; filename="7.png"',
        b'; filename="a\\"b"',
        b'; filename="\xff"',
        b'; filename=""',
        b'Content-Disposition: form-data; name="file[]"; filename=""',
        b'--b\r\nContent-Disposition: form-data; name="file[0]"\r\n\r\n',
        b'Content-Disposition: form-data; name="File"',
        b"Content-Type: image/png",
        b"Content-Type:",
        USUAL,
        b"x",
        b"",
    ]
)


@steady()
@given(st.one_of(st.lists(PIECES, max_size=12), st.lists(PIECES, max_size=4).map(lambda p: [USUAL, *p])))
def test_a_form_reads_the_same_with_and_without_the_parser(pieces: list[bytes]) -> None:
    form = b"".join(pieces)
    recognised, whole, apart = read(form), parsed(form), parsed(*in_bytes(form))
    if all(isinstance(found, str) for found in (recognised, whole, apart)):
        return  # messages name positions
    assert recognised == whole == apart


def test_a_form_of_many_files_in_the_usual_spelling_needs_no_parser() -> None:
    files = [b"%d" % i for i in range(64)]
    form = b"\r\n".join(USUAL + file for file in files) + b"\r\n--b--\r\n"
    assert usual_files(form, BOUNDARY.encode()) == files
    assert read(*in_bytes(form)) == files


def test_a_form_of_many_files_may_come_in_any_pieces() -> None:
    """A boundary counts once, however it is cut."""
    form = (USUAL + b"x\r\n") * 64 + b"--b--\r\n"
    for size in (1, 7, 50, 200):
        assert parsed(*(form[at : at + size] for at in range(0, len(form), size))) == [b"x"] * 64


def test_one_file_too_many_is_refused_by_either_way() -> None:
    form = (USUAL + b"x\r\n") * 65 + b"--b--\r\n"
    assert read(form) == parsed(form) == "The form has more than 64 files."


def test_a_large_form_is_refused_before_all_of_it_has_come() -> None:
    form = FileForm(f"multipart/form-data; boundary={BOUNDARY}")
    unknown = b'--b\r\nContent-Disposition: form-data; name="photo"\r\n\r\n'
    with pytest.raises(InvalidInput, match="'photo' that is not known"):
        form.write(unknown + bytes(HELD_BYTES))


LARGE = 512 * 1024
HEADS = b"--b\r\n" + DISPOSITION


@pytest.mark.parametrize(
    ("form", "told"),
    [
        (USUAL + LARGE // 6 * b"\r\n--bx", "boundary is there more than 256 times"),
        (USUAL + LARGE // 6 * b"\r\n--b-x", "boundary is there more than 256 times"),
        (USUAL + b"\r\n--b" + LARGE * b" ", "more than 64 blanks behind its boundary"),
        (USUAL + b"x\r\n--b" + LARGE * b"\t", "more than 64 blanks behind its boundary"),
        (64 * (HEADS + 900 * b";a=b" + b"\r\n\r\nx\r\n") + LARGE * b"x", "more than 32 parameters"),
        (64 * (HEADS + b"; " + 4_000 * b";" + b"\r\n\r\nx\r\n") + LARGE * b"x", "more than 32 parameters"),
        (HEADS + LARGE * b" " + b"\r\n\r\nx\r\n--b--", "Maximum header size"),
        (b"--b\r\n" + LARGE // 5 * b"a:b\r\n" + b"\r\nx\r\n--b--", "Maximum header count"),
    ],
    ids=range(8),
)
@pytest.mark.parametrize("bounded", [True, False], ids=["bounded", "control"])
def test_what_the_parser_is_slow_for_does_not_reach_it(
    monkeypatch: pytest.MonkeyPatch, form: bytes, told: str, bounded: bool
) -> None:
    """All else is found and copied by single calls for a whole chunk."""
    parsed_bytes, honest = 0, MultipartParser.write

    def write(parser: MultipartParser, data: bytes) -> int:
        nonlocal parsed_bytes
        parsed_bytes += len(data)
        return honest(parser, data)

    monkeypatch.setattr(MultipartParser, "write", write)
    if not bounded:
        monkeypatch.setattr("service.uploads.boundaries.Boundaries.count", lambda *_: None)
        monkeypatch.setattr("service.uploads.multipart.MOST_PARAMETERS", LARGE)
    refusal = read(*(form[i : i + HELD_BYTES] for i in range(0, len(form), HELD_BYTES)))
    if bounded or told.startswith("Maximum"):  # the parser's own limits
        assert told in refusal
        assert parsed_bytes <= 4 * HELD_BYTES
    else:
        assert parsed_bytes >= LARGE


@pytest.mark.parametrize("padding", [b"", b" ", b"\t ", 63 * b" "])
@pytest.mark.parametrize("cut", range(0, 90, 7))
def test_a_few_blanks_behind_a_boundary_are_skipped(padding: bytes, cut: int) -> None:
    """RFC 2046, section 5.1.1; wherever a chunk ends."""
    form = b"--b\r\n" + DISPOSITION + b"\r\n\r\nx\r\n--b" + padding + b"\r\n" + USUAL[5:] + b"y\r\n--b--"
    at = form.index(b"x\r\n--b") + cut
    assert parsed(form[:at], form[at:]) == [b"x", b"y"]
