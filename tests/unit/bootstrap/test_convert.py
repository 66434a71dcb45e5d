from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from melpy.apk.segment import read_entry
from melpy.apk.signature import load_keyring, write_key_pair
from melpy.bootstrap.convert import Content, Job, Place, convert_package, render_job
from melpy.codec import replace
from melpy.errors import SeedError
from tests.factories.elf import elf
from tests.factories.package import open_data
from tests.unit.bootstrap.packages import Item, symlink, write_deb

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.apk.model import PackageInfo


@pytest.fixture
def key(tmp_path: Path) -> Path:
    write_key_pair(tmp_path / "seed.rsa", 1024)
    return tmp_path / "seed.rsa"


def job(**changes: object) -> Job:
    plain = Job("tool", "1.0_p1-r0", "x86_64", ("libc6",), "0" * 64, Content(), "a tool", "https://tool.example", "src")
    return replace(plain, **changes)


def convert(tmp_path: Path, key: Path, todo: Job, *items: Item, **scripts: str) -> Path:
    deb = str(write_deb(tmp_path / "x.deb", *items, **scripts)) if items else ""
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    convert_package(render_job(todo, Place(deb, str(key), str(out), str(tmp_path))))
    return out / todo.file_name


def info(path: Path) -> PackageInfo:
    return read_entry(path).info


def members(path: Path) -> dict[str, str]:
    with open_data(path) as tar:
        return {item.name: item.linkname for item in tar}


def test_a_package_says_what_it_is_and_is_signed(tmp_path: Path, key: Path) -> None:
    path = convert(tmp_path, key, job(), Item("./usr/bin/tool", b"#!/bin/sh\n", mode=0o755))
    entry = read_entry(path, keyring=load_keyring([key.with_name("seed.rsa.pub")]))
    assert (entry.info.name, entry.info.version, entry.info.arch) == ("tool", "1.0_p1-r0", "x86_64")
    assert (entry.info.depends, entry.info.origin) == (("libc6",), "src")
    assert entry.info.provides == ("cmd:tool=1.0_p1-r0",)


def test_debians_directories_count_as_library_directories(tmp_path: Path, key: Path) -> None:
    where = "./usr/lib/x86_64-linux-gnu"
    path = convert(
        tmp_path,
        key,
        job(),
        Item(f"{where}/libtool.so.3.1", elf(soname="libtool.so.3"), mode=0o644),
        symlink(f"{where}/libtool.so.3", "libtool.so.3.1"),
        Item(f"{where}/pkgconfig/tool.pc", b"Name: tool\nVersion: 9\nDescription: x\n"),
        Item(f"{where}/tool/libprivate.so.1", elf(soname="libprivate.so.1")),
    )
    names = {provide.partition("=")[0] for provide in info(path).provides}
    assert {"so:libtool.so.3", "pc:tool"} <= names
    assert "so:libprivate.so.1" not in names


def test_links_are_added_and_are_commands(tmp_path: Path, key: Path) -> None:
    todo = job(content=Content(links={"usr/bin/t": "tool", "usr/lib/{multiarch}/x": "{debian}"}))
    path = convert(tmp_path, key, todo, Item("./usr/bin/tool", mode=0o755))
    assert "cmd:t=1.0_p1-r0" in info(path).provides
    assert members(path)["usr/bin/t"] == "tool"
    assert members(path)["usr/lib/x86_64-linux-gnu/x"] == "amd64"


def test_alternatives_are_links_that_give_way_to_a_higher_priority(tmp_path: Path, key: Path) -> None:
    script = (
        "update-alternatives --install /usr/bin/awk awk /usr/bin/tool 10 \\\n"
        "  --slave /usr/bin/nawk nawk /usr/bin/tool \\\n"
        "  --slave /usr/share/man/awk.1 awk.1 /usr/share/man/tool.1\n"
        "update-alternatives --install /usr/bin/gone gone /usr/bin/nothing 50\n"
        "update-alternatives --install /usr/bin/omitted omitted /usr/bin/tool 60\n"
    )
    items = (Item("./bin/tool", mode=0o755), Item("./usr/share/man/tool.1"))
    todo = job(rivals=("mawk",), content=Content(omit=("usr/bin/omitted",), drop=("usr/share/man",)))
    path = convert(tmp_path, key, todo, *items, postinst=script)
    assert {name: target for name, target in members(path).items() if target} == {
        "usr/bin/awk": "tool",
        "usr/bin/nawk": "tool",
    }
    # Without a version, so that two packages may have it; what has the higher priority replaces the other's.
    assert info(path).provides == ("cmd:awk", "cmd:nawk", "cmd:tool=1.0_p1-r0")
    assert (info(path).replaces, info(path).replaces_priority) == (("mawk",), "10")


def test_what_takes_the_place_of_anothers_file_replaces_it(tmp_path: Path, key: Path) -> None:
    items = (Item("./usr/bin/tool", b"#!/bin/sh\n", mode=0o755), Item("./usr/bin/own", b"#!/bin/sh\n", mode=0o755))
    preinst = "dpkg-divert --add --package tool --rename --divert /usr/bin/tool.libc /usr/bin/tool\n"
    found = info(convert(tmp_path, key, job(rivals=("other",)), *items, preinst=preinst))
    assert (found.provides, found.replaces, found.replaces_priority) == (("cmd:own=1.0_p1-r0",), ("libc6",), "")


def test_without_either_nothing_is_replaced(tmp_path: Path, key: Path) -> None:
    found = info(convert(tmp_path, key, job(rivals=("other",)), Item("./usr/bin/tool", mode=0o755), postinst="exit 0"))
    assert (found.replaces, found.replaces_priority) == ((), "")


def test_certificates_become_one_file(tmp_path: Path, key: Path) -> None:
    todo = job(
        content=Content(concatenate={"etc/ssl/all.crt": "usr/share/certs/*.crt"}, omit=("usr/share/certs/c.crt",))
    )
    path = convert(
        tmp_path,
        key,
        todo,
        Item("./usr/share/certs/b.crt", b"B"),
        Item("./usr/share/certs/a.crt", b"A\n\n"),
        Item("./usr/share/certs/c.crt", b"C"),
    )
    with open_data(path) as tar:
        for item in tar:
            content = tar.extractfile(item)
            if item.name == "etc/ssl/all.crt":
                assert content is not None
                assert content.read() == b"A\nB\n"
                return
    pytest.fail("there is no such file")


def test_a_package_of_the_table_needs_no_deb(tmp_path: Path, key: Path) -> None:
    content = Content(directories={"tmp": 0o1777}, files={"etc/{multiarch}": "{multiarch}\n"}, links={"bin": "usr/bin"})
    path = convert(tmp_path, key, job(deb="", content=content))
    assert {"tmp", "etc/x86_64-linux-gnu", "bin"} <= set(members(path))


def test_a_package_without_files_still_has_a_size(tmp_path: Path, key: Path) -> None:
    # apk-tools 3 does not unpack a package of size 0.
    assert info(convert(tmp_path, key, job(deb=""))).installed_size == 1


def test_the_same_job_gives_the_same_bytes(tmp_path: Path, key: Path) -> None:
    item = Item("./usr/bin/tool", b"x", mode=0o755)
    first = convert(tmp_path, key, job(), item).read_bytes()
    assert convert(tmp_path, key, job(), item).read_bytes() == first


def test_a_link_where_a_directory_is_is_an_error(tmp_path: Path, key: Path) -> None:
    with pytest.raises(SeedError, match="does not fit"):
        convert(tmp_path, key, job(content=Content(links={"usr/bin": "x"})), Item("./usr/bin/tool"))


def test_the_identity_of_a_job_is_in_everything_that_matters() -> None:
    plain = job().identity
    assert job().identity == plain
    assert job(depends=()).identity != plain
    assert job(deb="1" * 64).identity != plain
    assert job(content=Content(drop=("usr/share/doc",))).identity != plain


def test_texts_of_a_file_are_replaced_and_its_mode_stays(tmp_path: Path, key: Path) -> None:
    edits = {"usr/lib/{multiarch}/conf.rb": {"/usr/local/{multiarch}": "/usr"}}
    todo = job(content=Content(edits=edits))
    path = "./usr/lib/x86_64-linux-gnu/conf.rb"
    made = convert(tmp_path, key, todo, Item(path, b"a\ndir = /usr/local/x86_64-linux-gnu/b\n", mode=0o755))
    with open_data(made) as tar:
        member = tar.getmember("usr/lib/x86_64-linux-gnu/conf.rb")
        stream = tar.extractfile(member)
        assert stream is not None
        assert stream.read() == b"a\ndir = /usr/b\n"
        assert member.mode == 0o755


@pytest.mark.parametrize("text", [b"something else\n", b"old old\n"])
def test_a_text_that_debian_changed_is_an_error(tmp_path: Path, key: Path, text: bytes) -> None:
    todo = job(content=Content(edits={"usr/lib/a.py": {"old": "new"}}))
    with pytest.raises(SeedError, match=r"/usr/lib/a\.py has the text 'old' [02] times") as caught:
        convert(tmp_path, key, todo, Item("./usr/lib/a.py", text))
    assert caught.value.where == "tool"


def test_a_package_provides_what_the_table_says(tmp_path: Path, key: Path) -> None:
    made = convert(tmp_path, key, job(deb="", provides=("merged-bin", "merged-lib")))
    assert info(made).provides == ("merged-bin", "merged-lib")


MODULES = "./usr/lib/python3/dist-packages"


def read_member(package: Path, name: str) -> bytes:
    with open_data(package) as tar:
        stream = tar.extractfile(name)
        assert stream is not None
        return stream.read()


def test_the_files_of_a_python_distribution_are_recorded(tmp_path: Path, key: Path) -> None:
    items = [Item(f"{MODULES}/{name}") for name in ("idna/__init__.py", "idna/a,b.py", "idna-3.10.dist-info/METADATA")]
    made = convert(tmp_path, key, job(), *items, Item("./usr/bin/idna", b"#!/usr/bin/python3\n", mode=0o755))
    record = read_member(made, "usr/lib/python3/dist-packages/idna-3.10.dist-info/RECORD").decode().splitlines()
    info = "idna-3.10.dist-info"
    assert record == [f"{info}/METADATA,,", f"{info}/RECORD,,", "idna/__init__.py,,", '"idna/a,b.py",,']


def test_a_record_that_is_there_stays_and_of_two_distributions_none_is_made(tmp_path: Path, key: Path) -> None:
    made = convert(tmp_path, key, job(), Item(f"{MODULES}/a-1.dist-info/RECORD", b"its own"))
    assert read_member(made, "usr/lib/python3/dist-packages/a-1.dist-info/RECORD") == b"its own"
    two = convert(tmp_path, key, job(), *(Item(f"{MODULES}/{name}-1.dist-info/METADATA") for name in "ab"))
    assert not any(name.endswith("RECORD") for name in members(two))
