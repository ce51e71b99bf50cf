"""Tries of passwords at the door for programs are slowed down, by user name."""

from bascule.operators.wrong_logins import MOST, SECONDS, WrongLogins


def test_after_some_wrong_passwords_a_name_waits_and_no_other() -> None:
    now = [0.0]
    wrong = WrongLogins(clock=lambda: now[0])
    for _ in range(MOST):
        assert not wrong.too_many("postmaster")
        wrong.note("postmaster")

    assert wrong.too_many("postmaster") and not wrong.too_many("helpdesk")
    now[0] = SECONDS + 1
    assert not wrong.too_many("postmaster")


def test_names_that_were_made_up_are_forgotten() -> None:
    now = [0.0]
    wrong = WrongLogins(clock=lambda: now[0])
    for number in range(1000):
        wrong.note(f"user{number}")
    now[0] = SECONDS + 1
    wrong.note("postmaster")

    assert list(wrong._times) == ["postmaster"]
