"""What the rules do beside the corpus: with the new server's extensions, with choices, and that each is explained."""

import re
from pathlib import Path

import pytest
from bascule.sieve.convert import convert
from bascule.sieve.foldermap import FolderMap, from_mutf7
from bascule.sieve.language import table
from bascule.sieve.model import Context, Edit, apply

OFFERED = frozenset({"fileinto", "imap4flags", "copy"})


def rules_of(text: str, context: Context) -> tuple[str, list[str]]:
    conversion = convert(text, context)
    return conversion.text, [finding.rule for finding in conversion.findings]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('require ["fileinto", "regex"];\nfileinto "A";\n', 'require ["fileinto"];\nfileinto "A";\n'),
        ('require ["regex", "fileinto"];\nfileinto "A";\n', 'require ["fileinto"];\nfileinto "A";\n'),
        ('require ["regex", "body", "fileinto", "date"];\nfileinto "A";\n', 'require ["fileinto"];\nfileinto "A";\n'),
        ('require "regex";\r\nkeep;\r\n', "keep;\r\n"),
        ('require ["regex", "body"]; keep;\n', " keep;\n"),
        ('require ["imapflags", "regex"];\nmark;\n', 'require ["imap4flags"];\naddflag "\\\\Flagged";\n'),
    ],
)
def test_an_extension_that_nothing_uses_goes_when_the_new_server_lacks_it(before: str, after: str) -> None:
    assert rules_of(before, Context(extensions=OFFERED)) == (after, [])


def test_an_extension_that_is_used_and_lacking_is_told() -> None:
    text = 'require ["fileinto", "regex"];\nif header :regex "a" "b" { fileinto "A"; }\n'
    assert rules_of(text, Context(extensions=OFFERED)) == (text, ["extension-unavailable"])


def test_an_extension_without_words_is_told_rather_than_cut() -> None:
    text = 'require ["encoded-character"];\nkeep;\n'
    assert rules_of(text, Context(extensions=OFFERED)) == (text, ["extension-unavailable"])


def test_a_notification_by_a_way_that_the_new_server_lacks_is_told() -> None:
    text = (
        'require ["enotify", "variables"];\nset "m" "";\nnotify "xmpp:a@b.c";\nnotify "${m}";\nnotify "MailTo:a@b.c";\n'
    )
    conversion = convert(text, Context(notify_methods=frozenset({"mailto"})))
    (finding,) = conversion.findings
    assert (finding.rule, conversion.place(finding.offset)) == ("notify-method", (3, 8))
    assert finding.message == "the new server sends no notifications by 'xmpp' (it has: mailto)"
    assert rules_of(text, Context()) == (text, [])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('require ["fileinto", # why\n "notify", /* and */ "enotify"];\nfileinto "A";\n', ["# why\n"]),
        ('require ["notify", # why\n "enotify"];\n', ["# why\n"]),
        ('require "notify";\nnotify :method "mailto" # to me\n :options /* mine */ "a@b.c" :message "# no";\n',
         ["# to me\n", "/* mine */"]),
    ],
)  # fmt: skip
def test_comments_inside_what_is_rewritten_are_kept(text: str, kept: list[str]) -> None:
    converted, _ = rules_of(text, Context(repairs={"require-conflict": "repair"}))
    assert converted != text
    assert all(converted.count(comment) == 1 for comment in kept)
    assert convert(converted).text == converted


def test_a_choice_of_the_site_repairs_without_asking() -> None:
    text, asked = rules_of('if exists "Subject:" { stop; }', Context(repairs={"header-name": "repair"}))
    assert (text, asked) == ('if exists "Subject" { stop; }', [])


def test_a_choice_of_the_site_keeps_without_asking() -> None:
    text, asked = rules_of('if exists "Subject:" { stop; }', Context(repairs={"header-name": "keep"}))
    assert (text, asked) == ('if exists "Subject:" { stop; }', [])


def test_every_rule_is_explained() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in Path("plugins/bascule/sieve").rglob("*.py"))
    explained = table("rules")["rules"]
    for rule, about in explained.items():
        assert f'"{rule}"' in code or rule in ("not-parsable", "procmail"), f"{rule} is explained and used nowhere"
        assert about["does"] in ("edit", "ask", "tell")
        assert about["what"] and about["why"]
    named = set(re.findall(r'RULE = "([a-z0-9-]+)"', code)) | set(re.findall(r'ask\([a-z.]+, "([a-z0-9-]+)"', code))
    assert named <= set(explained)


def test_edits_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        apply("abcdef", [Edit(0, 3, "x", "r", ""), Edit(2, 4, "y", "r", "")])


@pytest.mark.parametrize(
    ("name", "decoded"),
    [("R&AOk-union", "Réunion"), ("R&-D", "R&D"), ("R&D", None), ("a & b", None), ("&AA-", None), ("é&AOk-", None)],
)
def test_modified_utf_7_is_recognised(name: str, decoded: str | None) -> None:
    assert from_mutf7(name) == decoded


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('require "imapflags";\nunmark;\n', 'require "imap4flags";\nremoveflag "\\\\Flagged";\n'),
        ('require "imapflags";\nmark;\n', 'require "imap4flags";\naddflag "\\\\Flagged";\n'),
        (
            'require "notify";\nnotify :method "mailto" :options ["a@x.org", "b@x.org"] :low :message "m";\n',
            'require "enotify";\nnotify :importance "3" :message "m" "mailto:a@x.org?to=b@x.org";\n',
        ),
        (
            'require ["notify", "variables"];\nnotify :options "a@x.org";\n',
            'require ["enotify", "variables"];\n'
            'if header :matches "from" "*" { set "bascule_from" "${1}"; }\n'
            'if header :matches "subject" "*" { set "bascule_subject" "${1}"; }\n'
            'notify :importance "1" :message "${bascule_from}: ${bascule_subject}" "mailto:a@x.org";\n',
        ),
        (
            'require ["vnd.dovecot.duplicate"];\nif duplicate "n" { stop; }\n',
            'require ["duplicate"];\nif duplicate :handle "n" { stop; }\n',
        ),
    ],
)
def test_old_words_become_those_of_the_standard(before: str, after: str) -> None:
    assert rules_of(before, Context()) == (after, [])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('["moi@obs.test", "moi@old.obs.test"]', '["moi@obs.test"]'),
        ('["MOI@old.obs.test", "moi@obs.test", "b@old.obs.test"]', '["moi@obs.test", "b@obs.test"]'),
        ('["a@old.obs.test", "A@OLD.obs.test"]', '["a@obs.test"]'),
        ('["Moi <moi@old.obs.test>", /* et */ "moi@obs.test"]', '["Moi <moi@obs.test>", /* et */ "moi@obs.test"]'),
    ],
)
def test_no_address_stands_twice_after_an_edit(before: str, after: str) -> None:
    script = 'require "vacation";\nvacation :addresses %s "Absent";\n'
    assert rules_of(script % before, Context(old_hosts={"old.obs.test": "obs.test"})) == (script % after, [])


def test_addresses_of_notifications_and_variables_get_the_new_domain_in_their_places() -> None:
    script = (
        'require ["enotify", "variables"];\nset "m" "Moi <moi@old.obs.test>";\nredirect "${m}";\n'
        'notify :from "${m}" "mailto:a@old.obs.test?cc=b%40old.obs.test&body=c@old.obs.test";\n'
    )
    text, asked = rules_of(script, Context(old_hosts={"old.obs.test": "obs.test"}))
    assert asked == []
    assert text.count("old.obs.test") == 1  # in the text of the notification
    assert '"Moi <moi@obs.test>"' in text and '"mailto:a@obs.test?cc=b%40obs.test&body=c@old.obs.test"' in text


def test_a_notification_that_can_not_be_carried_holds_nothing_else_back() -> None:
    script = 'require ["notify", "fileinto"];\nif true { notify :message "*/ $text$"; }\nfileinto "A";\n'
    text, asked = rules_of(script, Context(extensions=frozenset({"enotify", "fileinto"})))
    assert asked == ["notify-unsupported"]
    assert text == (
        'require ["enotify", "fileinto"];\n'
        'if true { /* not carried over: notify :message "* / $text$"; */ }\nfileinto "A";\n'
    )


@pytest.mark.parametrize(
    ("offered", "on_old", "said"),
    [
        ({"fileinto"}, None, "acts no more"),
        ({"fileinto"}, {"duplicate"}, "acts no more"),
        ({"fileinto"}, {"fileinto"}, ""),
        ({"duplicate"}, {"duplicate"}, ""),
        ({"duplicate"}, {"fileinto"}, "for the first time"),
        ({"duplicate"}, None, ""),
        (None, None, ""),
    ],
)
def test_what_ihave_asks_for_is_told_where_only_one_server_has_it(
    offered: set[str] | None, on_old: set[str] | None, said: str
) -> None:
    script = 'require "ihave";\nif ihave "duplicate" { if duplicate { discard; } }\n'
    context = Context(
        extensions=None if offered is None else frozenset(offered | {"ihave"}),
        old_extensions=None if on_old is None else frozenset(on_old),
    )
    messages = [finding.message for finding in convert(script, context).findings]
    assert [said in message for message in messages] == ([True] if said else [])


@pytest.mark.parametrize("extension", ["imapflags", "notify", "vnd.dovecot.duplicate"])
def test_an_old_word_stays_where_the_new_server_has_only_that(extension: str) -> None:
    script = f'require ["{extension}"];\nkeep;\n'
    assert convert(script, Context(extensions=frozenset({extension}))).text == script


@pytest.mark.parametrize(
    ("name", "proposed"),
    [
        ("INBOX.Archive.${y}.${m}", "Archive/${y}/${m}"),
        ("INBOX.Work.${y}.x/y", "Projects/${y}/x_y"),
        ("${y}.a", "${y}/a"),
    ],
)
def test_the_levels_of_a_name_with_variables_are_mapped(name: str, proposed: str) -> None:
    script = f'require ["fileinto", "variables"];\nif header :matches "X" "*-*" {{ fileinto "{name}"; }}\n'
    folders = FolderMap({"INBOX": "INBOX", "INBOX.Work": "Projects"}, ".", "/", "INBOX.", "")
    assert f'"{proposed}"' in convert(script, Context(folders=folders)).proposed
