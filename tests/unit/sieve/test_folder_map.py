"""Which folder a filter's name becomes, by the map of a real run; and folder maps as files."""

from pathlib import Path

import pytest
from bascule.sieve.convert import convert
from bascule.sieve.folder_map_file import FolderMapRefused, read_folder_map
from bascule.sieve.foldermap import FolderMap, Unsure
from bascule.sieve.model import Context
from bascule.text import mutf7
from bascule.text.name_map import NameMap, Namespace
from hypothesis import given
from hypothesis import strategies as st

NAMES = {"INBOX": "INBOX", "INBOX.Work": "Projects", "INBOX.Réunions": "Meetings"}
FOLDERS = FolderMap(NAMES, ".", "/", "INBOX.", "")
SLASHES_TO_DOTS = FolderMap({"INBOX": "INBOX", "Work": "Work"}, "/", ".", "", "")


def filing(name: str, folders: FolderMap = FOLDERS) -> tuple[str, str, list[str]]:
    """What a filter that files there becomes, what is proposed, and the rules that ask."""
    conversion = convert(f'fileinto "{name}";', Context(folders=folders))
    rules = [finding.rule for finding in conversion.findings if finding.rule != "require-missing"]
    strip = [text.split('fileinto "')[1].removesuffix('";') for text in (conversion.text, conversion.proposed)]
    return strip[0], strip[1], rules


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("INBOX", "INBOX"),
        ("Inbox", "INBOX"),
        ("INBOX.Nouveau", "Nouveau"),
        ("INBOX.Nouveau.2024", "Nouveau/2024"),
        ("inbox.Nouveau", "Nouveau"),
        ("INBOX.Work", "Projects"),
        ("Inbox.Work", "Projects"),
        ("INBOX.Work.2024.été", "Projects/2024/été"),
        ("INBOX.Workshop", "Workshop"),
    ],
)
def test_a_name_goes_the_way_of_the_folder(old: str, new: str) -> None:
    assert FOLDERS.new_name(old) == new


@pytest.mark.parametrize(
    ("old", "proposed"),
    [
        ("Work", "Projects"),
        ("Nouveau", "Nouveau"),
        ("Projects", "Projects"),
        ("INBOX.Projects", "Projects"),
        ("INBOX.A/B testing", "A_B testing"),
        ("INBOX.Work.v1/2", "Projects/v1_2"),
        ("INBOX.Work.", "Projects"),
        ("INBOX..x", "x"),
        ("INBOX.", "INBOX"),
        ("INBOX.dovecot-uidlist", "_dovecot-uidlist"),
        ("INBOX.R&AOk-unions", "Meetings"),
        ("INBOX.&AMA- lire", "À lire"),
    ],
)
def test_what_the_mover_would_ask_about_is_asked_and_not_edited(old: str, proposed: str) -> None:
    assert filing(old) == (old, proposed, ["folder-unsure"])


def test_a_dot_in_a_name_becomes_no_level_unasked() -> None:
    assert filing("v1.2", SLASHES_TO_DOTS) == ("v1.2", "v1_2", ["folder-unsure"])
    assert filing("Work/v1.2", SLASHES_TO_DOTS) == ("Work/v1.2", "Work.v1_2", ["folder-unsure"])


def test_modified_utf_7_is_read_where_the_old_server_reads_it() -> None:
    cyrus = FolderMap(NAMES, ".", "/", "INBOX.", "", modified_utf7=True)
    assert filing("INBOX.R&AOk-unions", cyrus) == ("Meetings", "Meetings", [])


def test_a_folder_that_is_really_called_so_is_no_modified_utf_7() -> None:
    odd = FolderMap({**NAMES, "INBOX.R&AOk-unions": "Odd"}, ".", "/", "INBOX.", "")
    assert filing("INBOX.R&AOk-unions", odd) == ("Odd", "Odd", [])


def test_other_peoples_folders_are_asked_about() -> None:
    shared = FolderMap(NAMES, ".", "/", "INBOX.", "", shared=("user.", "shared."))
    assert filing("shared.lists", shared) == ("shared.lists", "shared.lists", ["folder-unsure"])


def test_a_hidden_prefix_of_the_old_server_is_asked_about() -> None:
    hidden = FolderMap({"INBOX": "INBOX", "Work": "Projects"}, ".", "/", "", "")
    assert filing("INBOX.Work", hidden) == ("INBOX.Work", "Projects", ["folder-unsure"])
    assert filing("INBOX.Other", hidden)[0] == "INBOX/Other"


def test_whatever_is_called_otherwise_than_by_the_rule_takes_the_folders_below_along() -> None:
    assert [FOLDERS.new_name(f"INBOX.{name}.x") for name in ("Work", "Réunions", "Autre")] == [
        "Projects/x", "Meetings/x", "Autre/x",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("script", "text", "proposed"),
    [
        ('fileinto "INBOX.Listes.${1}";', None, 'fileinto "Listes/${1}";'),
        ('fileinto "INBOX.${1}";', None, 'fileinto "${1}";'),
        ('set "p" "INBOX."; fileinto "${p}Work";', None, 'set "p" "INBOX."; fileinto "Projects";'),
        ('set "b" "INBOX.Work"; fileinto "${b}";', 'set "b" "Projects"; fileinto "${b}";', ""),
        ('set "b" "Inbox.N"; fileinto "${B}"; fileinto "${b}";', 'set "b" "N"; fileinto "${B}"; fileinto "${b}";', ""),
    ],
)  # fmt: skip
def test_names_in_variables(script: str, text: str | None, proposed: str) -> None:
    head = 'require ["fileinto", "variables"];\n'
    conversion = convert(head + script, Context(folders=FOLDERS))
    assert conversion.text == head + (text or script)
    assert conversion.proposed == head + (proposed or text or script)
    assert [finding.rule for finding in conversion.findings] == (["folder-variable"] if proposed else [])


LEVEL = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\\$'), min_size=1, max_size=6)


@given(st.lists(LEVEL, min_size=1, max_size=4), st.sampled_from(["./INBOX.", "./", "//", "/."]))
def test_the_rule_is_the_movers(levels: list[str], style: str) -> None:
    old, new, prefix = style[0], style[1], style[2:]
    folders = FolderMap({"INBOX": "INBOX"}, old, new, prefix, "", modified_utf7=True)
    name = prefix + old.join(levels)
    found = folders.new_name(name)
    mover = NameMap(*(Namespace(p.encode(), s.encode()) for p, s in ((prefix, old), ("", new))))
    raw = mutf7.encode(folders.read_by_old(name))
    if isinstance(found, Unsure) or found == "INBOX":
        return
    assert mutf7.encode(found) == mover.to_new(raw)


def _file(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("INBOX.Off: Off\nINBOX.No: no\nINBOX.N: ~\n", {"INBOX.Off": "Off", "INBOX.No": "no", "INBOX.N": "~"}),
        ("INBOX.2024.10: 2024.10\n2024: 1e3\n0x1F: 12:30:45\n",
         {"INBOX.2024.10": "2024.10", "2024": "1e3", "0x1F": "12:30:45"}),
        ('{\n\t"\\ud83d\\udd2d": "\\u00c9t\\u00e9",\n\t"a": 1, "b": true\n}', {"🔭": "Été", "a": "1", "b": "true"}),
        ("\ufeffA: B\n", {"A": "B"}),
        ("{}", {}),
    ],
)  # fmt: skip
def test_everything_in_a_folder_map_is_text(tmp_path: Path, text: str, names: dict[str, str]) -> None:
    assert read_folder_map(_file(tmp_path / "map", text)) == FolderMap(names)


def test_a_folder_map_with_its_keys(tmp_path: Path) -> None:
    text = "names: {INBOX.Off: Off}\nold_separator: .\nnew_separator: /\nold_prefix: INBOX.\nmodified_utf7: yes\n"
    expected = FolderMap({"INBOX.Off": "Off"}, ".", "/", "INBOX.", "", modified_utf7=True)
    assert read_folder_map(_file(tmp_path / "map", text)) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("names: {A: B}\nold_seperator: .\n", "line 2: there is no key `old_seperator`; is `old_separator` meant?"),
        ("old_seperator: .\nnew_prefix_: x\n", "line 1: there is no key `old_seperator`; is `old_separator` meant?"),
        ("name: {A: B}\n", "line 1: there is no key `name`; is `names` meant?"),
        ("names:\nold_separator: .\n", "line 1: `names` must hold old names and new names"),
        ("names: [A, B]\n", "line 1: `names` must hold"),
        ("names: {A: [B]}\n", "line 1: `A` must be one name"),
        ("- A\n- B\n", "line 1: a folder map holds"),
        ("7\n", "line 1: a folder map holds"),
        ("", "a folder map holds"),
        ("A: B\nC: D\nA: E\n", "line 3: `A` stands in line 1 already"),
        ('{"names": {"A": "B",\n"A": "C"}}', "line 2: `A` stands in line 1 already"),
        ("A: B\nC:\n", "line 2: `C` has no name"),
        ("A: {B: C}\n", "line 1: `A` must be one name"),
        ("? [A]\n: B\n", "line 1: a name must be a text"),
        ('A: "x\\0y"\n', "line 1: `A` has a character that can't stand there"),
        ("names: {}\nold_separator: ab\n", "line 2: `old_separator` must be one character"),
        ("names: {}\nold_separator: .\nold_prefix: INBOX\n", "`old_prefix` must end with `old_separator` (.)"),
        ("names: {}\nmodified_utf7: perhaps\n", "line 2: `modified_utf7` must be true or false"),
        ("A: [\n", "line 2, column 1: no YAML"),
        ("A: &x B\n--- \nC: D\n", "no YAML"),
        ("[" * 5000, "nested too deeply"),
        (b"A: \xe9\n", "not UTF-8 at byte 4"),
        ("A: \x01\n", "no YAML"),
    ],
)  # fmt: skip
def test_what_is_no_folder_map_is_refused_with_line_and_key(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    with pytest.raises(FolderMapRefused) as refused:
        read_folder_map(_file(tmp_path / "map", text))
    assert sentence in str(refused.value)
    assert str(refused.value).startswith(f"{tmp_path}/map: ")


@pytest.mark.parametrize(
    ("old", "proposal"),
    [("INBOX.Work.", "Projects"), ("INBOX..Work", "Projects"), ("INBOX.", "INBOX"), ("INBOX.Work\n", "Projects"),
     ("INBOX.a\tb", "ab"), ("INBOX.\x7f", "INBOX")],
)  # fmt: skip
def test_a_name_that_no_server_has_is_asked_about(old: str, proposal: str) -> None:
    found = FolderMap({"INBOX": "INBOX", "INBOX.Work": "Projects"}, ".", "/", "INBOX.", "").new_name(old)
    assert isinstance(found, Unsure)
    assert "no server has such a folder" in found.explanation
    assert found.proposal == proposal


@given(st.one_of(st.binary(max_size=40), st.text(max_size=60).map(str.encode)))
def test_any_file_is_a_folder_map_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = _file(tmp_path_factory.getbasetemp() / "any", data)
    try:
        assert isinstance(read_folder_map(path), FolderMap)
    except FolderMapRefused as refused:
        assert str(refused)
