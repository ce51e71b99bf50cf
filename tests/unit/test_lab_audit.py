"""The audit and the report of the injector: what is lost, doubled, changed or excused is told."""

from collections.abc import Mapping

from lab.corpus.inventory import Entry, Holdings, digest_of
from lab.measure.audit import Decisions, Found, Verdict, compare_with_decisions, new_name, subscriptions
from lab.measure.delivered import Looked, judge


def entry(text: str, *flags: str, date: int = 1) -> Entry:
    return Entry(digest_of(text.encode()), len(text), flags, date)


def verdict(
    old: Mapping[str, list[Entry]],
    found: Mapping[str, list[Entry]],
    *,
    new: Mapping[str, list[Entry]] | None = None,
    decisions: Decisions | None = None,
) -> Verdict:
    holdings = Holdings("jdoe", "J.Doe@obs.test", bool(new), None, old, new or {}, [])
    shown = {folder: [Found(each, "Subject: x") for each in entries] for folder, entries in found.items()}
    return compare_with_decisions(holdings, decisions or Decisions(), shown)


def test_names_are_mapped() -> None:
    assert [new_name(name) for name in ("INBOX", "INBOX.Réunions.2018 été")] == ["INBOX", "Réunions/2018 été"]


def test_everything_in_its_place() -> None:
    result = verdict({"INBOX.a.b": [entry("one"), entry("two")]}, {"a/b": [entry("two"), entry("one")], "INBOX": []})
    assert (result.expected, result.found_once, result.lost, result.duplicated, result.differences) == (
        2,
        2,
        [],
        [],
        [],
    )


def test_a_missing_message_is_lost() -> None:
    result = verdict({"INBOX": [entry("one"), entry("two")]}, {"INBOX": [entry("one")]})
    assert len(result.lost) == 1
    assert result.found_once == 1


def test_a_message_in_another_folder_is_lost_from_its_own() -> None:
    assert verdict({"INBOX.a": [entry("one")]}, {"a": [], "INBOX": [entry("one")]}).lost


def test_a_message_that_was_there_twice_must_be_there_twice() -> None:
    twins = [entry("one"), entry("one")]
    assert verdict({"INBOX": twins}, {"INBOX": twins}).duplicated == []
    assert len(verdict({"INBOX": twins}, {"INBOX": twins[:1]}).lost) == 1


def test_one_more_copy_is_told_also_in_another_folder() -> None:
    assert verdict({"INBOX": [entry("one")]}, {"INBOX": [entry("one")] * 2}).duplicated
    assert verdict({"INBOX": [entry("one")]}, {"INBOX": [entry("one")], "Trash": [entry("one")]}).duplicated


def test_changed_flags_and_dates_are_differences() -> None:
    result = verdict({"INBOX": [entry("one", "\\Seen", date=5)]}, {"INBOX": [entry("one", date=6)]})
    assert len(result.differences) == 2


def test_a_missing_empty_folder_is_a_difference() -> None:
    assert verdict({"INBOX.vide": []}, {"INBOX": []}).differences


def test_new_mail_is_no_fault() -> None:
    result = verdict({"INBOX": [entry("one")]}, {"INBOX": [entry("one"), entry("arrived today")]})
    assert (result.extra, result.lost, result.duplicated) == (1, [], [])


def test_a_renamed_folder_is_looked_for_under_its_new_name() -> None:
    decisions = Decisions(renamed={"INBOX.~a": "a"})
    assert verdict({"INBOX.~a": [entry("one")]}, {"a": [entry("one")]}, decisions=decisions).lost == []


def test_a_folder_left_out_by_decision_is_excused() -> None:
    result = verdict({"INBOX.x": [entry("one")]}, {}, decisions=Decisions(left_out=frozenset({"INBOX.x"})))
    assert (result.lost, len(result.by_decision)) == ([], 1)


def test_a_decision_about_one_message_excuses_that_one_only() -> None:
    decisions = Decisions(messages={("INBOX", 3): "left out"})
    result = verdict(
        {"INBOX": [entry("one"), entry("two"), entry("three")]}, {"INBOX": [entry("one")]}, decisions=decisions
    )
    assert (len(result.by_decision), len(result.lost)) == (1, 1)


def test_a_beta_testers_mail_must_stay() -> None:
    result = verdict({"INBOX": []}, {"INBOX": []}, new={"INBOX": [entry("mine")]})
    assert result.beta_lost
    assert result.lost


def test_mail_that_a_beta_tester_has_on_both_servers_may_be_there_once() -> None:
    both = [entry("both")]
    result = verdict({"INBOX": both}, {"INBOX": both}, new={"INBOX": both})
    assert (result.lost, result.duplicated, result.beta_lost) == ([], [], [])


def test_a_mailbox_kept_on_old_by_decision_is_excused() -> None:
    result = verdict({"INBOX": [entry("one")]}, {"INBOX": []}, decisions=Decisions(kept_on_old=True))
    assert (result.lost, result.kept_on_old) == ([], ["jdoe"])


def test_a_keyword_that_was_left_behind_by_decision_is_no_difference() -> None:
    old, new = {"INBOX.x": [entry("one", "\\Seen", "long")]}, {"x": [entry("one", "\\Seen")]}
    assert len(verdict(old, new).differences) == 1
    assert verdict(old, new, decisions=Decisions(dropped=frozenset({("INBOX.x", "long")}))).differences == []
    assert len(verdict(old, new, decisions=Decisions(dropped=frozenset({("INBOX.y", "long")}))).differences) == 1


def test_a_date_that_was_accepted_by_decision_is_no_difference() -> None:
    was, now = entry("one"), entry("one", date=60)
    decisions = Decisions(dated=frozenset({("INBOX", was.size)}))
    assert len(verdict({"INBOX": [was]}, {"INBOX": [now]}).differences) == 1
    assert verdict({"INBOX": [was]}, {"INBOX": [now]}, decisions=decisions).differences == []


def test_subscriptions_follow_renamed_folders_and_not_those_left_out() -> None:
    holdings = Holdings("jdoe", "J.Doe@obs.test", False, None, {}, {}, ["INBOX.a.b", "INBOX.~c", "INBOX.d"])
    decisions = Decisions(renamed={"INBOX.~c": "c"}, left_out=frozenset({"INBOX.d"}))
    assert subscriptions(holdings, decisions) == {"a/b", "c"}


def test_numbers_are_sorted_by_where_they_are() -> None:
    looked = Looked(
        new={
            1: [("a", "INBOX")],
            2: [("a", "INBOX"), ("a", "Trash")],
            3: [("b", "INBOX")],
            7: [("a", "INBOX"), ("b", "x")],
        },
        old={5: [("a", "INBOX")]},
        queued={4: "mx"},
    )
    accepted = {1: ("a",), 2: ("a",), 3: ("a",), 4: ("a",), 5: ("a",), 6: ("a",), 7: ("a", "b")}
    result = judge(accepted, [], looked)
    assert result["injected"] == 7
    assert result["delivered_once"] == 2
    assert [line.split()[1] for line in result["duplicated"]] == ["2"]
    assert [line.split()[1] for line in result["misplaced"]] == ["3"]
    assert result["waiting"] == {4: "mx"}
    assert result["only_on_old"] == [5]
    assert [line.split(",")[0] for line in result["lost"]] == ["number 6"]


def test_a_number_for_two_is_lost_when_one_has_it_not() -> None:
    assert judge({1: ("a", "b")}, [], Looked(new={1: [("a", "INBOX")]}))["lost"]


def test_a_doubtful_number_that_arrived_is_told_but_not_counted() -> None:
    result = judge({}, [9], Looked(new={9: [("a", "INBOX")]}))
    assert (result["injected"], result["doubtful"]) == (0, [9])


def test_the_numbers_of_an_account_that_is_kept_on_old_must_be_there_once() -> None:
    looked = Looked(
        new={1: [("a", "INBOX")], 3: [("a", "INBOX"), ("b", "INBOX")], 4: [("b", "INBOX")]},
        old={1: [("a", "INBOX")], 2: [("a", "INBOX")] * 2, 3: [("a", "INBOX")]},
    )
    result = judge({1: ("a",), 2: ("a",), 3: ("a", "b"), 4: ("a", "b")}, [], looked, kept=["a"])
    assert result["delivered_once"] == 2
    assert [line.split()[1] for line in result["duplicated"]] == ["2"]
    assert [line.split(",")[0] for line in result["lost"]] == ["number 4"]
    assert result["numbers"][3] == [["b", "INBOX"], ["a", "INBOX"]]
