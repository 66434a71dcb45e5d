from __future__ import annotations

import pytest

from melpy.bootstrap.script import Alternative, parse_alternatives, parse_diversions

VALUES = {"DEB_HOST_MULTIARCH": "x86_64-linux-gnu", "DPKG_MAINTSCRIPT_PACKAGE": "tool"}
LOOPS = """
dir='/lib/x'
for i in java 'jar'
do
    for j in 1 2; do
        true
    done
    update-alternatives --install /b/$i $i $dir/${i} 1 $unknown
done
update-alternatives --install /b/$i $i /x 1
"""


def links(script: str) -> dict[str, str]:
    return {item.link: item.target for item in parse_alternatives(script, VALUES)}


def test_lines_that_go_on_and_what_follows_are_read() -> None:
    script = """
    if [ "$1" = configure ]; then
        update-alternatives --quiet \\
            --install /usr/bin/awk awk /usr/bin/gawk 10 \\
            --slave /usr/bin/nawk nawk /usr/bin/gawk
    fi
    update-alternatives --install /usr/bin/cc cc /usr/bin/gcc 20 \\
        #--slave /usr/share/man/man1/cc.1.gz cc.1.gz /usr/share/man/man1/gcc.1.gz
    """
    assert parse_alternatives(script, VALUES) == (
        Alternative("/usr/bin/awk", "/usr/bin/gawk", 10),
        Alternative("/usr/bin/nawk", "/usr/bin/gawk", 10),
        Alternative("/usr/bin/cc", "/usr/bin/gcc", 20),
    )


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("ver=1.17\nprio=35\nupdate-alternatives --install /b/a a /b/a-$ver $prio", {"/b/a": "/b/a-1.17"}),
        (
            LOOPS,
            {"/b/java": "/lib/x/java", "/b/jar": "/lib/x/jar"},
        ),
        ("for i in a b; do update-alternatives --install /b/$i $i /t/$i 1; done", {"/b/a": "/t/a", "/b/b": "/t/b"}),
        (
            "update-alternatives --install /l/$DEB_HOST_MULTIARCH/x x /y 1 || true; echo --slave /no no /no",
            {"/l/x86_64-linux-gnu/x": "/y"},
        ),
        ("[ -e /x ] && update-alternatives --install /x x /y 1", {"/x": "/y"}),
        ("update-alternatives --install /x x /low 1\nupdate-alternatives --install /x x /high 2", {"/x": "/high"}),
        ("# update-alternatives --install /x x /y 1", {}),
        ("update-alternatives --remove x /y", {}),
        ("update-alternatives --install /x x /y", {}),
        ("update-alternatives --install /x x $(find /y) 1", {}),
        ("update-alternatives --install /x x '/y 1", {}),
        ("for i in a; do", {}),
    ],
)
def test_variables_and_loops_are_followed_and_the_unclear_is_passed_over(script: str, found: dict[str, str]) -> None:
    assert links(script) == found


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("dpkg-divert --add --package x --rename \\\n --divert /usr/bin/t.old /usr/bin/t", ("/usr/bin/t",)),
        ("dpkg-divert --package x --remove --divert /usr/bin/t.old /usr/bin/t", ()),
        ("dpkg-divert --list | grep x", ()),
        ("for f in a b; do dpkg-divert --no-rename --divert /d/$f.x --add /d/$f; done", ("/d/a", "/d/b")),
    ],
)
def test_diversions_are_read(script: str, found: tuple[str, ...]) -> None:
    assert parse_diversions(script, VALUES) == found
