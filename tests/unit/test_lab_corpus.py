"""What lies in the practice site's mailboxes."""

import email
import email.policy
import re
import time
import unicodedata
from collections import Counter

import icalendar
import pytest
from bascule import site
from bascule.sieve.parser import parse
from bascule.sieve.syntax import SieveSyntaxError

from lab.corpus import filters
from lab.corpus.fill import SMALL_QUOTA, _mail_files
from lab.corpus.inventory import holdings_of
from lab.corpus.mailboxes import (
    ALIKE_FOLDERS,
    BROKEN_FOLDER,
    DAMAGED_FOLDER,
    LOCKED_FOLDER,
    LONG_FOLDER,
    LONG_KEYWORD,
    LONG_KEYWORD_FOLDER,
    ON_DISK_FOLDER,
    PREFIX,
    REFUSED_FOLDERS,
    USED_ON_NEW,
    Mailbox,
    Message,
    mailbox_of,
)
from lab.corpus.people import Person, people
from lab.paths import SITE_FILE

SITE = people(24)


@pytest.fixture(scope="module")
def mailboxes() -> dict[str, Mailbox]:
    return {person.account: mailbox_of(person, seed=1) for person in SITE}


@pytest.fixture(scope="module")
def on_old(mailboxes: dict[str, Mailbox]) -> dict[str, Mailbox]:
    """Those of everybody but the newcomer."""
    return {account: mailbox for account, mailbox in mailboxes.items() if mailbox.old}


def all_messages(mailboxes: dict[str, Mailbox]) -> list[Message]:
    return [message for mailbox in mailboxes.values() for folder in mailbox.old for message in folder.messages]


def with_trouble(mailboxes: dict[str, Mailbox], trouble: str) -> Mailbox:
    return next(mailbox for mailbox in mailboxes.values() if mailbox.person.trouble == trouble)


def test_the_same_seed_makes_the_same_mailbox(mailboxes: dict[str, Mailbox]) -> None:
    assert all(mailbox_of(person, seed=1) == mailboxes[person.account] for person in SITE)


def test_another_seed_makes_another_mailbox(mailboxes: dict[str, Mailbox]) -> None:
    assert mailbox_of(SITE[0], seed=2).old != mailboxes[SITE[0].account].old


def test_a_site_of_24_has_about_two_thousand_messages_of_twenty_years(mailboxes: dict[str, Mailbox]) -> None:
    messages = all_messages(mailboxes)
    assert 1_500 <= len(messages) <= 3_000
    assert max(message.date for message in messages).year - min(message.date for message in messages).year >= 18


def test_most_messages_are_small_and_some_are_large(mailboxes: dict[str, Mailbox]) -> None:
    sizes = sorted(len(message.data) for message in all_messages(mailboxes))
    assert sizes[len(sizes) // 2] < 5_000
    assert sizes[-1] > 800_000


def test_a_hundred_mailboxes_cost_seconds_of_the_processor(mailboxes: dict[str, Mailbox]) -> None:
    began = time.process_time()
    for person in people(124)[24:]:
        mailbox_of(person, seed=1)
    assert time.process_time() - began < 15  # five on a quiet machine


def test_what_append_takes_has_whole_line_ends_and_no_nul(mailboxes: dict[str, Mailbox]) -> None:
    for message in all_messages(mailboxes):
        if not message.refused:
            assert b"\0" not in message.data
            assert not re.search(rb"\r(?!\n)|(?<!\r)\n", message.data)


def test_messages_can_be_read_as_mail(mailboxes: dict[str, Mailbox]) -> None:
    for message in all_messages(mailboxes)[::10]:
        if message.data:
            assert email.message_from_bytes(message.data, policy=email.policy.default)["From"]


def test_the_same_mail_lies_twice_in_a_folder(on_old: dict[str, Mailbox]) -> None:
    for mailbox in on_old.values():
        copies = Counter(message.data for message in mailbox.old[0].messages)
        assert copies.most_common(1)[0][1] == 2


def test_two_different_mails_have_one_message_id(on_old: dict[str, Mailbox]) -> None:
    found = 0
    for mailbox in on_old.values():
        different = {message.data for message in mailbox.old[0].messages}
        identifiers = Counter(match[0] for data in different if (match := re.search(rb"(?im)^message-id:.*$", data)))
        found += any(count > 1 for count in identifiers.values())
    assert found > len(on_old) // 2


def test_some_messages_have_no_message_id(mailboxes: dict[str, Mailbox]) -> None:
    heads = [message.data.partition(b"\r\n\r\n")[0].lower() for message in all_messages(mailboxes)]
    assert sum(b"\r\nmessage-id:" not in head for head in heads) > 20


def test_folders_have_accents_and_levels(on_old: dict[str, Mailbox]) -> None:
    for mailbox in on_old.values():
        assert PREFIX + "Réunions.2018 été" in {folder.name for folder in mailbox.old}


def test_every_mailbox_has_an_empty_folder_or_more(on_old: dict[str, Mailbox]) -> None:
    assert sum(any(not folder.messages for folder in mailbox.old) for mailbox in on_old.values()) > len(on_old) - 4


def test_flags_and_keywords_are_atoms(mailboxes: dict[str, Mailbox]) -> None:
    for message in all_messages(mailboxes):
        assert all(re.fullmatch(r"\\?[$A-Za-z0-9-]{1,50}", flag) or flag == LONG_KEYWORD for flag in message.flags)


def test_beta_testers_and_the_newcomer_alone_have_mail_on_new(mailboxes: dict[str, Mailbox]) -> None:
    assert {name for name, mailbox in mailboxes.items() if mailbox.new} == {"egarcon", "nlefevre", "npatel"}
    assert [name for name, mailbox in mailboxes.items() if not mailbox.old] == ["npatel"]


def test_the_small_quota_is_smaller_than_its_mailbox(mailboxes: dict[str, Mailbox]) -> None:
    mailbox = with_trouble(mailboxes, "small quota")
    assert sum(len(message.data) for folder in mailbox.old for message in folder.messages) > 2 * SMALL_QUOTA


def test_somebody_who_has_left_has_rights_on_a_folder(mailboxes: dict[str, Mailbox]) -> None:
    shared = [folder.shared_with for folder in with_trouble(mailboxes, "lost folders").old if folder.shared_with]
    assert [[identifier in mailboxes for identifier, _ in rights] for rights in shared] == [[True, False]]


def test_beta_testers_have_some_of_their_old_mail_on_new(mailboxes: dict[str, Mailbox]) -> None:
    mailbox = mailboxes["egarcon"]
    both = {message.data for message in mailbox.old[0].messages} & {message.data for message in mailbox.new[0].messages}
    assert len(both) == 3


def test_refused_folder_names(mailboxes: dict[str, Mailbox]) -> None:
    folders = {folder.name: folder for folder in with_trouble(mailboxes, "folders").old}
    assert all(folders[PREFIX + name].messages for name in (*REFUSED_FOLDERS, *ALIKE_FOLDERS, ON_DISK_FOLDER))
    assert folders[PREFIX + ON_DISK_FOLDER].maildir == ".Essais&AAk-gamma"
    assert len(folders[PREFIX + LONG_FOLDER].maildir) < 256 <= len(LONG_FOLDER.encode())


def test_alike_folder_names_differ_by_capitals_by_accents_as_stored_and_by_a_space() -> None:
    pairs = [*zip(ALIKE_FOLDERS[::2], ALIKE_FOLDERS[1::2], strict=True)]
    assert all(one != other for one, other in pairs)
    as_programs_take_them = [{unicodedata.normalize("NFC", name).strip().casefold() for name in pair} for pair in pairs]
    assert [len(names) for names in as_programs_take_them] == [1, 1, 1]


def test_beta_testers_have_a_folder_on_old_that_is_in_trouble_on_new(mailboxes: dict[str, Mailbox]) -> None:
    closed, used = with_trouble(mailboxes, "closed on new"), with_trouble(mailboxes, "used on new")
    (locked,) = [folder for folder in closed.new if folder.locked]
    assert closed.person.beta and used.person.beta
    assert len(next(folder for folder in closed.old if folder.name == PREFIX + locked.name).messages) == 3
    assert locked.name not in holdings_of(closed).new
    assert len(next(folder for folder in used.old if folder.name == PREFIX + USED_ON_NEW).messages) == 3


def test_one_folder_has_an_annotation_that_is_too_large_to_be_carried(mailboxes: dict[str, Mailbox]) -> None:
    noted = [folder.notes for folder in with_trouble(mailboxes, "lost folders").old if folder.notes]
    assert [[len(value.encode()) > 65_536 for _, value in notes] for notes in noted] == [[True]]


def test_refused_messages(mailboxes: dict[str, Mailbox]) -> None:
    refused = [message for message in with_trouble(mailboxes, "messages").old[0].messages if message.refused]
    assert [len(message.data) == 0 for message in refused] == [True, False, False]  # the large one comes by IMAP
    assert refused[2].date.timestamp() > 2**31
    assert b"\0" in refused[1].data
    assert b"\0" not in refused[1].served


def test_one_message_alone_is_larger_than_the_site_allows(mailboxes: dict[str, Mailbox]) -> None:
    allowed = site.load(SITE_FILE).mailboxes.largest_message
    sizes = [len(message.data) for message in all_messages(mailboxes) if len(message.data) > allowed]
    assert sizes == [
        len(message.data)
        for message in with_trouble(mailboxes, "messages").old[0].messages
        if len(message.data) > allowed
    ]
    assert len(sizes) == 1


def test_what_old_can_not_read_is_written_so_and_stands_in_no_inventory(mailboxes: dict[str, Mailbox]) -> None:
    mailbox = with_trouble(mailboxes, "messages")
    files = {file.path: file for file in _mail_files(mailbox)}
    (damaged,) = [path for path, file in files.items() if file.mode == 0]
    assert re.search(r"/cur/\d+\.M0P1\.old,S=[1-9]\d*,W=[1-9]\d*:2,S$", damaged)
    assert len(holdings_of(mailbox).old[PREFIX + DAMAGED_FOLDER]) == 3


def test_a_keyword_that_is_too_long_is_written_as_dovecot_keeps_keywords(mailboxes: dict[str, Mailbox]) -> None:
    mailbox = with_trouble(mailboxes, "messages")
    files = {
        file.path: file.content for file in _mail_files(mailbox) if "tiquettes" in file.path or "&AMk-" in file.path
    }
    assert f"0 {LONG_KEYWORD}\n".encode() in files.values()
    assert sum(path.endswith(":2,Sa") for path in files) == len(holdings_of(mailbox).old[PREFIX + LONG_KEYWORD_FOLDER])


def test_folders_that_old_does_not_open(mailboxes: dict[str, Mailbox]) -> None:
    mailbox = with_trouble(mailboxes, "lost folders")
    unopened = {folder.name: folder for folder in mailbox.old if not folder.opens}
    assert unopened.keys() == {PREFIX + LOCKED_FOLDER, PREFIX + BROKEN_FOLDER}
    assert unopened[PREFIX + BROKEN_FOLDER].maildir == f".{BROKEN_FOLDER}"
    assert not unopened.keys() & holdings_of(mailbox).old.keys()
    assert [file.locked for file in _mail_files(mailbox)] == [True, False]


def test_a_filter_that_never_matches(mailboxes: dict[str, Mailbox]) -> None:
    mailbox = with_trouble(mailboxes, "filter that never matches")
    assert '"Subject:"' in mailbox.filters[str(mailbox.active_filter)]


def test_one_active_filter_is_no_sieve_and_all_others_are(mailboxes: dict[str, Mailbox]) -> None:
    broken = []
    for name, mailbox in mailboxes.items():
        for text in mailbox.filters.values():
            try:
                parse(text)
            except SieveSyntaxError:
                broken.append(name)
    assert broken == [with_trouble(mailboxes, "filter that is no Sieve").person.account]


def test_filters_file_into_folders_that_exist(mailboxes: dict[str, Mailbox]) -> None:
    for mailbox in mailboxes.values():
        named = {name for text in mailbox.filters.values() for name in filters.folders_named(text)}
        assert named <= {folder.name for folder in mailbox.old}


def test_the_probe_files_what_the_functional_tests_send(mailboxes: dict[str, Mailbox]) -> None:
    probe = mailboxes["sonde"]
    assert filters.PROBE_HEADER in probe.filters[str(probe.active_filter)]


def test_events_and_contacts_are_whole(mailboxes: dict[str, Mailbox]) -> None:
    for mailbox in mailboxes.values():
        events_alone = [item for item in mailbox.events if "VJOURNAL" not in item.text]
        assert len({item.uid for item in events_alone}) == len({item.uid for item in mailbox.contacts}) == 12
        for item in events_alone:
            events = icalendar.Calendar.from_ical(item.text).walk("VEVENT")
            assert {str(event["UID"]) for event in events} == {item.uid}
        for item in (*mailbox.events, *mailbox.contacts):
            assert max(len(line.encode()) for line in item.text.split("\r\n")) <= 75


def test_one_calendar_has_a_journal_entry(mailboxes: dict[str, Mailbox]) -> None:
    journals = [name for name, each in mailboxes.items() for item in each.events if "VJOURNAL" in item.text]
    assert journals == [with_trouble(mailboxes, "folders").person.account]


def test_events_repeat_with_exceptions_alarms_and_time_zones(mailboxes: dict[str, Mailbox]) -> None:
    text = "".join(item.text for item in mailboxes["sonde"].events)
    for part in (
        "RRULE:",
        "EXDATE",
        "RECURRENCE-ID",
        "BEGIN:VALARM",
        "TZID=America/Santiago",
        "VALUE=DATE",
        "ATTENDEE",
    ):
        assert part in text


def test_a_person_needs_no_other_for_a_mailbox() -> None:
    alone = Person("xabc", "Xavière", "Abc", "Xaviere.Abc@obs.test")
    assert mailbox_of(alone, seed=1).old
