"""Laws of versions, requirements, PKGINFO and archives."""

from __future__ import annotations

import gzip
import io
import string
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from melpy.apk.archive import Member, write_data, write_flat
from melpy.apk.atom import Atom, parse_atom
from melpy.apk.index import parse_index, read_entries, render_index
from melpy.apk.model import IndexEntry, PackageInfo
from melpy.apk.pkginfo import parse_pkginfo, render_pkginfo
from melpy.apk.stanza import render_stanza
from melpy.apk.version import compare_versions, is_version

# Leading zeros compare as text, which is no order together with numbers; apk has it so.
NUMBER = st.one_of(st.integers(0, 3), st.integers(0, 10**12)).map(str)
SUFFIX = st.tuples(
    st.sampled_from(["alpha", "beta", "pre", "rc", "cvs", "svn", "git", "hg", "p"]), st.one_of(st.just(""), NUMBER)
).map(lambda pair: f"_{pair[0]}{pair[1]}")
VERSION = st.builds(
    lambda digits, letter, suffixes, commit, revision: (
        ".".join(digits) + letter + "".join(suffixes) + (f"~{commit}" if commit else "") + revision
    ),
    st.lists(NUMBER, min_size=1, max_size=3),
    st.sampled_from(["", "", "", "a", "b"]),
    st.lists(SUFFIX, max_size=2),
    st.sampled_from(["", "", "", "abc", "abd1"]),
    st.one_of(st.just(""), NUMBER.map(lambda number: f"-r{number}")),
)


@given(VERSION)
def test_versions_equal_themselves(version: str) -> None:
    assert is_version(version)
    assert compare_versions(version, version) == 0
    assert compare_versions(version, version, fuzzy=True) == 0


@given(VERSION, VERSION)
def test_one_of_two_versions_is_newer_from_both_sides(left: str, right: str) -> None:
    assert compare_versions(left, right) == -compare_versions(right, left)
    assert (compare_versions(left, right) == 0) == (left == right)


@given(VERSION, VERSION, VERSION)
def test_the_order_of_versions_is_transitive(a: str, b: str, c: str) -> None:
    if compare_versions(a, b) <= 0 and compare_versions(b, c) <= 0:
        assert compare_versions(a, c) <= 0


@given(VERSION, VERSION)
def test_operators_agree_with_the_order(left: str, right: str) -> None:
    order = compare_versions(left, right)
    for operator, expected in (
        ("=", order == 0),
        ("<", order < 0),
        (">", order > 0),
        ("<=", order <= 0),
        (">=", order >= 0),
    ):
        assert Atom("a", operator, right).is_met_by(left) is expected


@given(VERSION, st.integers(0, 99))
def test_a_version_that_goes_on_is_fuzzily_the_same(version: str, revision: int) -> None:
    if "-r" not in version:
        assert parse_atom(f"a~{version}").is_met_by(f"{version}-r{revision}")


NAME = st.text(string.ascii_letters + string.digits + "+_.-:[]", min_size=1)
ATOM = st.builds(
    lambda name, wanted, conflict, tag: Atom(name, wanted[0], wanted[1], conflict, tag),
    NAME,
    st.one_of(
        st.just(("", "")),
        st.tuples(st.sampled_from(["=", "<", ">", "<=", ">=", "~", "<~", ">~"]), VERSION),
        st.just(("><", "Q1abc+/=")),
    ),
    st.booleans(),
    st.sampled_from(["", "edge", "local-1"]),
)


@given(ATOM)
def test_requirements_round_trip(atom: Atom) -> None:
    assert parse_atom(str(atom)) == atom


WORD = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=12)
LINE = st.lists(WORD, max_size=4).map(" ".join)
WORDS = st.lists(WORD, max_size=3).map(tuple)
INFO = st.builds(
    PackageInfo,
    name=WORD,
    version=VERSION,
    arch=st.sampled_from(["x86_64", "aarch64"]),
    installed_size=st.integers(1, 2**40),
    origin=WORD,
    description=LINE,
    url=LINE,
    commit=LINE,
    maintainer=LINE,
    build_date=st.integers(0, 2**33),
    licenses=WORDS,
    depends=WORDS,
    provides=WORDS,
    replaces=WORDS,
    vendored=WORDS,
    install_if=WORDS,
    provider_priority=st.sampled_from(["", "1", "-5"]),
    replaces_priority=st.sampled_from(["", "1"]),
    triggers=WORDS,
    datahash=st.sampled_from(["", "ab" * 32]),
)


@given(INFO)
def test_pkginfo_round_trips(info: PackageInfo) -> None:
    assert parse_pkginfo(render_pkginfo(info)) == info


@given(st.text(max_size=60))
def test_no_description_adds_a_key(description: str) -> None:
    found = parse_pkginfo(render_pkginfo(PackageInfo("a", "1", "x", description=description)))
    assert (found.name, found.version, found.arch, found.depends) == ("a", "1", "x", ())


@given(st.lists(INFO, max_size=4), st.text(max_size=40))
def test_an_index_has_as_many_packages_as_went_in(infos: list[PackageInfo], description: str) -> None:
    entries = [IndexEntry(info, "Q1abc", 1) for info in infos]
    entries.append(IndexEntry(PackageInfo("last", "1", "x", description=description), "Q1last", 1))
    found = read_entries(parse_index(render_index(map(render_stanza, entries)), where="x"))
    assert [(entry.info.name, entry.info.depends) for entry in found] == [
        (entry.info.name, entry.info.depends) for entry in entries
    ]


PATH = st.lists(WORD.filter(lambda word: word not in {".", ".."} and "/" not in word), min_size=1, max_size=5).map(
    "/".join
)


@given(st.dictionaries(PATH, st.binary(max_size=2000), max_size=5), st.integers(0, 2**34))
def test_archives_round_trip_and_have_one_spelling(files: dict[str, bytes], mtime: int) -> None:
    def write() -> bytes:
        stream = io.BytesIO()
        members = [
            Member(name, tarfile.REGTYPE, 0o644, len(data), open=lambda data=data: io.BytesIO(data))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            for name, data in files.items()
        ]
        digest = write_data(members, stream, mtime=mtime)
        assert digest.size == len(stream.getvalue())
        return stream.getvalue()

    data = write()
    assert write() == data
    flat = write_flat([(name, content, 0o600) for name, content in files.items()], mtime=mtime)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(flat + data)), mode="r:") as tar:
        items = list(tar)
        contents = [stream.read() for item in items if (stream := tar.extractfile(item))]
    assert [item.name for item in items] == [*files, *files]
    assert contents == [*files.values(), *files.values()]
    assert {item.mtime for item in items} <= {mtime}
