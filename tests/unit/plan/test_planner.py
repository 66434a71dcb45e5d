"""A recipe becomes a plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from melpy.arch import ARCHES, host_arch, parse_arch
from melpy.errors import FaultsError
from melpy.plan.environment import DEFAULT_VARIABLES
from melpy.plan.form import plan_digest
from melpy.plan.library import Library
from melpy.plan.model import Licence, SetCapability, Source
from melpy.plan.planner import PlanOptions, examine_recipe, find_arches, is_for, plan_recipe
from tests.factories.recipe import HEADER, plan, recipe


def complaint(text: str) -> str:
    with pytest.raises(FaultsError) as caught:
        plan(text)
    return "\n".join(str(fault) for fault in caught.value.faults)


def names(text: str) -> list[str]:
    return [package.name for package in plan(text).packages]


def test_identity() -> None:
    found = plan("")
    assert (found.name, found.full_version, found.arch, found.recipe) == ("hello", "1.2.3-r4", "x86_64", "hello.yaml")
    assert found.job == "hello-1.2.3-r4/x86_64"
    assert found.packages[0].outdir == "/home/build/melange-out/hello"


def test_metadata_and_dependencies() -> None:
    found = plan(
        """\
        package:
          name: hello
          version: 1.2.3
          epoch: 4
          description: ${{package.name}} says ${{vars.what}} ${{unknown.name}}
          url: https://example.org/${{package.name}}
          annotations: {made-by: "${{package.name}}"}
          copyright:
            - license: GPL-3.0-or-later
              attestation: Copyright ${{package.name}}
            - license: MIT
              license-path: LICENSE-${{package.version}}
          dependencies:
            runtime: ["libhello=${{package.full-version}}"]
            provides: ["greeter=${{package.full-version}}"]
            replaces: [hallo]
            provider-priority: ${{vars.priority}}
            replaces-priority: -3
          options: {no-commands: true}
          setcap:
            - {path: /usr/bin/hello, add: {cap_net_raw: +ep, cap_ipc_lock: +i}, reason: it pings}
          cpe: {vendor: gnu, product: hello, target_sw: linux}
        vars: {what: hi, priority: 10}
        capabilities: {add: [CAP_NET_ADMIN], drop: [CAP_KILL]}
        """
    )
    main = found.packages[0]
    assert main.description == "hello says hi ${{unknown.name}}"
    assert main.url == "https://example.org/hello"
    assert main.runtime == ("libhello=1.2.3-r4",)
    assert main.provides == ("greeter=1.2.3-r4",)
    assert main.replaces == ("hallo",)
    assert (main.provider_priority, main.replaces_priority) == ("10", "-3")
    assert main.no_commands
    assert not main.no_depends
    assert main.setcap == (
        SetCapability("usr/bin/hello", (("cap_ipc_lock", "+i"), ("cap_net_raw", "+ep")), "it pings"),
    )
    assert found.licences == (
        Licence("GPL-3.0-or-later", "Copyright ${{package.name}}"),
        Licence("MIT", "", "LICENSE-1.2.3"),
    )
    assert found.cpe == "cpe:2.3:a:gnu:hello:1.2.3:*:*:*:*:linux:*:*"
    assert main.annotations == (("made-by", "hello"),)
    assert (found.capabilities_add, found.capabilities_drop) == (("CAP_NET_ADMIN",), ("CAP_KILL",))


def test_subpackages_have_the_commit_of_the_recipe_unless_they_name_one() -> None:
    found = plan(
        """
        package: {name: hello, version: 1, commit: abc}
        subpackages:
          - name: hello-dev
          - {name: hello-doc, commit: def}
        """
    )
    assert [package.commit for package in found.packages] == ["abc", "abc", "def"]


def test_scriptlets_and_triggers() -> None:
    main = plan(
        """\
        package:
          name: hello
          version: 1
          scriptlets:
            post-install: |
              #!/bin/sh
              echo ${{package.name}} ${x}
            trigger:
              script: "#!/bin/sh"
              paths: ["/usr/share/${{package.name}}"]
        """
    ).packages[0]
    assert dict(main.scriptlets) == {"post-install": "#!/bin/sh\necho hello ${x}\n", "trigger": "#!/bin/sh"}
    assert main.triggers == ("/usr/share/hello",)


def test_subpackages_come_in_the_recipes_order() -> None:
    assert names("subpackages:\n  - name: ${{package.name}}-z\n  - name: hello-a\n") == ["hello", "hello-z", "hello-a"]


def test_a_subpackage_is_left_out_with_its_needs() -> None:
    text = """\
    subpackages:
      - name: hello-arm
        if: ${{build.arch}} == 'aarch64'
        pipeline:
          - needs: {packages: [arm-tools]}
            runs: arm
    """
    assert [package.name for package in plan(text).packages] == ["hello"]
    assert plan(text).environment.packages == ()
    assert [package.name for package in plan(text, arch="aarch64").packages] == ["hello", "hello-arm"]
    assert plan(text, arch="aarch64").environment.packages == ("arm-tools",)


def test_ranges_are_sorted_by_key_as_text() -> None:
    text = """\
    data:
      - name: pythons
        items: {3.9: old, 3.10: "${{package.version}}", 3.12: ''}
    subpackages:
      - range: pythons
        name: py${{range.key}}-hello
        description: value [${{range.value}}]
        pipeline:
          - runs: python${{range.key}} ${{targets.subpkgdir}}
      - range: pythons
        if: ${{range.key}} != '3.9'
        name: py${{range.key}}-extra
    """
    found = plan(text).packages
    assert [(package.name, package.description) for package in found[1:4]] == [
        ("py3.10-hello", "value [1.2.3]"),
        ("py3.12-hello", "value []"),
        ("py3.9-hello", "value [old]"),
    ]
    assert [package.name for package in found[4:]] == ["py3.10-extra", "py3.12-extra"]
    assert found[1].steps[0].script == "python3.10 /home/build/melange-out/py3.10-hello"


def test_an_empty_table_yields_no_subpackages() -> None:
    assert names("data:\n  - name: none\nsubpackages:\n  - range: none\n    name: x${{range.key}}\n") == ["hello"]


def test_the_same_name_twice_from_a_range() -> None:
    text = (
        "data:\n  - name: two\n    items: {a: x, b: x}\nsubpackages:\n  - range: two\n    name: sub-${{range.value}}\n"
    )
    assert "two packages of this recipe are called 'sub-x'" in complaint(text)


def test_a_fault_of_a_range_is_reported_once() -> None:
    text = """\
    data:
      - name: two
        items: {a: x, b: y}
    subpackages:
      - range: two
        name: sub-${{range.key}}
        pipeline:
          - runs: echo ${{vars.nothing}}
    """
    assert complaint(text).count("undefined variable 'vars.nothing'") == 1


def test_targets_in_main_and_subpackages() -> None:
    line = "${{context.name}} ${{targets.destdir}} ${{targets.contextdir}} ${{targets.package.hello-doc}}"
    found = plan(
        f"""\
        pipeline:
          - runs: {line} ${{{{targets.outdir}}}} ${{{{package.srcdir}}}}
        subpackages:
          - name: hello-doc
            pipeline:
              - runs: {line} ${{{{targets.subpkgdir}}}} ${{{{subpkg.name}}}}
        """
    ).packages
    out = "/home/build/melange-out"
    assert found[0].steps[0].script == f"hello {out}/hello {out}/hello {out}/hello-doc {out} /home/build"
    assert (
        found[1].steps[0].script == f"hello-doc {out}/hello {out}/hello-doc {out}/hello-doc {out}/hello-doc hello-doc"
    )


def test_a_subpackage_that_is_left_out_has_no_target() -> None:
    text = """\
    pipeline:
      - runs: echo ${{targets.package.hello-arm}}
    subpackages:
      - name: hello-arm
        if: ${{build.arch}} == 'aarch64'
    """
    assert "undefined variable 'targets.package.hello-arm'" in complaint(text)
    assert plan(text, arch="aarch64").packages[0].steps


@pytest.mark.parametrize(
    ("arch", "expected"),
    [
        (
            "x86_64",
            (
                "x86_64 amd64 x86_64-pc-linux-gnu x86_64-unknown-linux-gnu "
                "x86_64-pc-linux-gnu x86_64-pc-linux-musl x86_64-unknown-linux-gnu x86_64-unknown-linux-musl"
            ),
        ),
        (
            "aarch64",
            (
                "aarch64 arm64 aarch64-unknown-linux-gnu aarch64-unknown-linux-gnu "
                "aarch64-unknown-linux-gnu aarch64-unknown-linux-musl "
                "aarch64-unknown-linux-gnu aarch64-unknown-linux-musl"
            ),
        ),
        (
            "armv7",
            (
                "armv7 arm/v7 armv7l-unknown-linux-gnueabihf armv7-unknown-linux-gnueabihf "
                "armv7l-unknown-linux-gnueabihf armv7l-unknown-linux-musleabihf "
                "armv7-unknown-linux-gnueabihf armv7-unknown-linux-musleabihf"
            ),
        ),
    ],
)
def test_architectures_and_triplets(arch: str, expected: str) -> None:
    line = " ".join(
        "${{" + name + "}}"
        for name in (
            "build.arch",
            "build.goarch",
            "host.triplet.gnu",
            "host.triplet.rust",
            "cross.triplet.gnu.glibc",
            "cross.triplet.gnu.musl",
            "cross.triplet.rust.glibc",
            "cross.triplet.rust.musl",
        )
    )
    assert plan(f"pipeline:\n  - runs: {line}\n", arch=arch).packages[0].steps[0].script == expected


def test_the_libc_flavour_is_in_host_triplets_only() -> None:
    text = "pipeline:\n  - runs: ${{host.triplet.gnu}} ${{cross.triplet.gnu.glibc}}\n"
    (step,) = plan(text, options=PlanOptions(libc="musl")).packages[0].steps
    assert step.script == "x86_64-pc-linux-musl x86_64-pc-linux-gnu"


def test_every_architecture_is_known_by_its_names() -> None:
    assert len(ARCHES) == 9
    for arch in ARCHES.values():
        assert parse_arch(arch.apk) == parse_arch(arch.go) == arch
    assert parse_arch("loong64") == ARCHES["loongarch64"]


@pytest.mark.parametrize(
    ("wanted", "arch", "expected"),
    [
        ("", "aarch64", True),
        ("[all]", "aarch64", True),
        ("[x86_64]", "x86_64", True),
        ("[x86_64]", "aarch64", False),
        ("[amd64, arm64]", "aarch64", True),
        ("[noarch]", "aarch64", True),
    ],
)
def test_target_architectures(wanted: str, arch: str, expected: bool) -> None:
    found = recipe(f"package:\n  name: hello\n  version: 1\n  target-architecture: {wanted}\n")
    assert is_for(found, parse_arch(arch)) is expected


@pytest.mark.parametrize("wanted", ["noarch", "${{vars.where}}"])
def test_noarch_is_planned_once(wanted: str) -> None:
    """For the architecture of this machine, or one that it runs, where these are among those of a run."""
    text = f"package:\n  name: hello\n  version: 1\n  target-architecture: ['{wanted}']\nvars: {{where: noarch}}\n"
    found = recipe(text)
    own, s390x, riscv64 = host_arch(), parse_arch("s390x"), parse_arch("riscv64")
    assert find_arches(found, [s390x, own, riscv64]) == (own,)
    assert find_arches(found, [s390x, riscv64]) == (s390x,)
    if own.apk == "x86_64":
        assert find_arches(found, [s390x, parse_arch("x86")]) == (parse_arch("x86"),)
    plans = [plan_recipe(found, arch, Library(())) for arch in (own, s390x)]
    assert [one.job for one in plans] == ["hello-1-r0/noarch"] * 2
    assert [(one.arch, one.package_arch) for one in plans] == [(own.apk, "noarch"), ("s390x", "noarch")]
    assert plan_digest(plans[0]) == plan_digest(plans[1])
    plain = recipe(text.replace(wanted, "all"))
    assert find_arches(plain, [s390x, own]) == (s390x, own)
    assert plan_digest(plan_recipe(plain, own, Library(()))) != plan_digest(plans[0])


def test_the_environment_is_what_is_stated_then_what_steps_need_each_once() -> None:
    found = plan(
        """\
        environment:
          contents:
            build_repositories: [https://example.org/one]
            repositories: [https://example.org/two]
            keyring: [key.rsa.pub]
            packages: [busybox, "hello~${{vars.major}}", wget]
          environment: {HOME: "", CFLAGS: "-O2 -D${{package.name}}", GOPATH: /go}
        vars: {major: 1}
        pipeline:
          - uses: fetch
            with: {uri: https://example.org/a.tar.gz, expected-sha512: "%s"}
          - needs: {packages: [make, busybox]}
            pipeline:
              - needs: {packages: [gcc]}
                runs: make
        """
        % ("a" * 128),
        options=PlanOptions(packages=("extra", "make"), environment=(("CFLAGS", "-O0"), ("LANG", "C"))),
    ).environment
    assert found.packages == ("busybox", "hello~1", "wget", "make", "gcc", "extra")
    assert found.repositories == ("https://example.org/one", "https://example.org/two")
    assert found.keyring == ("key.rsa.pub",)
    assert dict(found.variables) == DEFAULT_VARIABLES | {"CFLAGS": "-O2 -Dhello", "GOPATH": "/go", "LANG": "C"}


def test_options_change_the_environment() -> None:
    text = """\
    environment: {contents: {packages: [busybox, gcc]}}
    options:
      clang:
        environment: {contents: {packages: {add: [clang], remove: [gcc]}}}
    """
    assert plan(text).environment.packages == ("busybox", "gcc")
    assert plan(text, options=PlanOptions(enabled=("clang",))).environment.packages == ("busybox", "clang")


def test_options_change_what_the_recipe_states_before_anything_is_rendered() -> None:
    text = """\
    vars: {compiler: gcc}
    environment: {contents: {packages: [busybox, "${{vars.compiler}}", "${{vars.compiler}}-doc"]}}
    options:
      other:
        vars: {compiler: clang}
        environment: {contents: {packages: {add: ["${{vars.compiler}}-tools"], remove: [make, clang-doc]}}}
    pipeline: [{runs: x, needs: {packages: [make]}}]
    """
    found = plan(text, options=PlanOptions(enabled=("other",)))
    assert found.environment.packages == ("busybox", "clang", "clang-tools", "make")


def test_faults_of_an_option_are_shown_there() -> None:
    text = """\
    options:
      other:
        vars: {a: "${{vars.b}}"}
    """
    with pytest.raises(FaultsError, match=r"hello\.yaml:7:15: undefined variable 'vars\.b'"):
        plan(text, options=PlanOptions(enabled=("other",)))


def test_repositories_and_keys_are_rendered() -> None:
    found = plan(
        """\
        vars: {stage: three}
        environment:
          contents:
            build_repositories: ["https://example.org/${{vars.stage}}"]
            repositories: ["https://example.org/${{build.arch}}"]
            keyring: ["https://example.org/${{vars.stage}}.rsa.pub"]
        """
    ).environment
    assert found.repositories == ("https://example.org/three", "https://example.org/x86_64")
    assert found.keyring == ("https://example.org/three.rsa.pub",)


def test_what_a_key_without_a_value_means() -> None:
    found = plan(
        """\
        options: {plain: }
        pipeline: [~, {runs: x, inputs: {unused: }}]
        subpackages:
        """
    )
    assert [step.script for step in found.packages[0].steps] == ["x"]
    assert [package.name for package in found.packages] == ["hello"]


def test_the_main_package_knows_its_context() -> None:
    found = plan(
        """\
        package:
          name: hello
          version: 1
          dependencies: {provides: ["${{context.name}}-program"]}
        """
    )
    assert found.packages[0].provides == ("hello-program",)


def test_chains_of_variables_are_bounded() -> None:
    links = "".join(f"  v{number}: ${{{{vars.v{number + 1}}}}}\n" for number in range(700))
    assert "variables refer to each other too deep" in complaint(f"vars:\n{links}  v700: x\n")


def test_the_number_of_packages_is_bounded() -> None:
    items = "".join(f"    k{number}: x\n" for number in range(300))
    subpackages = "".join(f"  - name: a{number}-${{{{range.key}}}}\n    range: t\n" for number in range(300))
    found = complaint(f"data:\n- name: t\n  items:\n{items}subpackages:\n{subpackages}")
    assert found.endswith("the recipe makes too many packages")


def test_what_all_texts_together_expand_to_is_bounded() -> None:
    steps = "".join(f"  - runs: echo {'${{vars.a}}' * 20}\n" for _ in range(100))
    found = complaint(f"vars: {{a: {'x' * 100_000}}}\npipeline:\n{steps}")
    assert found.endswith("the recipe expands to too much text")
    assert found.count("\n") == 0


def test_a_text_full_of_faults_is_complained_of_so_often_only() -> None:
    assert complaint('pipeline: [{runs: "' + "${{nope}} ${{ " * 5_000 + '"}]').count("\n") < 50


def test_a_second_document_is_warned_about() -> None:
    header = f"{HEADER}  copyright: [{{license: MIT}}]\n"
    _, faults = examine_recipe(recipe(header + "---\npackage: {}\n"), parse_arch("x86_64"), Library())
    assert [str(warning) for warning in faults.warnings] == ["hello.yaml:6:1: a second document, which is not read"]
    _, faults = examine_recipe(recipe("# a comment\n---\n" + header), parse_arch("x86_64"), Library())
    assert faults.warnings == []


def test_a_user_without_a_group_has_one_of_its_own_number() -> None:
    text = "environment: {accounts: {run-as: x, users: [{username: x, uid: 7}]}}\n"
    assert plan(text).environment.user == (7, 7)


def test_packages_of_tests_are_sorted_and_named_once() -> None:
    found = plan(
        """\
        test:
          environment: {contents: {packages: [zlib, busybox]}}
          pipeline: [{runs: x, needs: {packages: [curl, busybox]}}]
        """
    ).tests[0]
    assert found.environment.packages == ("busybox", "curl", "hello", "zlib")


def test_compiled_uses_name_the_inputs_that_differ_from_the_defaults() -> None:
    text = """\
    pipeline:
      - uses: autoconf/make
        with: {dir: ., opts: -k}
      - uses: autoconf/make
      - pipeline:
          - uses: autoconf/make
    """
    steps = json.loads(plan(text).compiled)["pipeline"]
    assert steps[0]["with"] == {"opts": "-k"}
    assert "with" not in steps[1]
    assert "with" not in steps[2]["pipeline"][0]


@pytest.mark.parametrize(
    ("run_as", "user"),
    [("", (1000, 1000)), ("build", (1000, 1000)), ("root", (0, 0)), ("65532", (65532, 65532)), ("nobody", (7, 8))],
)
def test_who_runs_the_steps(run_as: str, user: tuple[int, int]) -> None:
    text = f"""\
    environment:
      accounts:
        run-as: "{run_as}"
        users: [{{username: nobody, uid: 7, gid: 8}}]
    """
    assert plan(text).environment.user == user


def test_sources_are_those_of_fetch_in_order() -> None:
    text = f"""\
    pipeline:
      - uses: fetch
        with:
          uri: https://example.org/${{{{package.name}}}}-${{{{package.version}}}}.tar.gz
          expected-sha256: {"AB" * 32}
      - pipeline:
          - uses: fetch
            with: {{uri: https://example.org/b.zip, expected-sha512: {"c" * 128}, purl-name: b, purl-version: 2}}
    """
    assert plan(text).sources == (
        Source("https://example.org/hello-1.2.3.tar.gz", sha256="ab" * 32, name="hello", version="1.2.3"),
        Source("https://example.org/b.zip", sha512="c" * 128, name="b", version="2"),
    )


def test_a_subpackage_may_fetch_too() -> None:
    text = f"""\
    subpackages:
      - name: hello-data
        pipeline:
          - uses: fetch
            with: {{uri: https://example.org/data.zip, expected-sha256: {"c" * 64}}}
    """
    assert [source.material["uri"] for source in plan(text).sources] == ["https://example.org/data.zip"]


@pytest.mark.parametrize("version", ["1", "1.10", "00303", "20240101", "1.2a", "1.2_rc1_git20200101", "3.0_p2"])
def test_versions(version: str) -> None:
    assert plan(f"package:\n  name: hello\n  version: {version}\n").version == version


@pytest.mark.parametrize(
    "version",
    ["v1", "1.2-3", "1.2-r3", "1..2", "1.2_foo", "1.2.", "latest", "1.2 ", "1,2", "1~xy", "1~"],
)
def test_not_versions(version: str) -> None:
    assert "is not an APK version" in complaint(f"package:\n  name: hello\n  version: '{version}'\n")


EVERYTHING = """\
vars: {a: x}
pipeline:
  - uses: autoconf/configure
  - uses: strip
subpackages:
  - name: hello-doc
    pipeline: [{uses: split/manpages}]
"""


def test_the_digest_is_stable_and_independent_of_the_directory() -> None:
    one = plan_recipe(recipe(EVERYTHING, path="a/hello.yaml"), parse_arch("x86_64"), Library())
    two = plan_recipe(recipe(EVERYTHING, path="/b/c/hello.yaml"), parse_arch("amd64"), Library((Path("nowhere"),)))
    assert plan_digest(one) == plan_digest(two)
    assert one.to_json() == two.to_json()


@pytest.mark.parametrize(
    "text",
    [
        EVERYTHING + "test: {pipeline: [{runs: hello}]}\n",
        "# a comment\n" + EVERYTHING,
        EVERYTHING + "update: {enabled: true}\n",
    ],
)
def test_what_does_not_change_the_build_keeps_its_steps(text: str) -> None:
    assert plan(text).packages == plan(EVERYTHING).packages


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("epoch: 4", "epoch: 5"),
        ("split/manpages", "split/infodir"),
        ("uses: strip", "runs: strip"),
        ("hello-doc", "hello-man"),
    ],
)
def test_the_digest_changes_with_the_recipe(old: str, new: str) -> None:
    text = HEADER + EVERYTHING
    assert old in text
    assert plan_digest(plan(text.replace(old, new))) != plan_digest(plan(text))


def test_the_digest_changes_with_the_architecture() -> None:
    assert plan_digest(plan(EVERYTHING)) != plan_digest(plan(EVERYTHING, arch="aarch64"))


def test_pipelines_that_are_used_are_named() -> None:
    assert plan(EVERYTHING).pipelines == ("autoconf/configure", "split/manpages", "split/move", "strip")
