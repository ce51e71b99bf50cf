"""One account's move as a state machine: killed or failing at every act, it ends on one side, and nobody stays held."""

from datetime import timedelta
from functools import partial

import pytest
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger, LedgerError, journal, leases, moves
from bascule.ledger.base import now
from bascule.ledger.moves import ORDER, Server, State
from bascule.moves import machine
from bascule.moves.machine import CannotMove, Limits, MoveFailed, Mover, NotProven, StillHeld

from tests.unit.moves.fake_site import FakeActs, FakeSite, Killed

ACTS = ("hold", "quiet", "flip", "kick", "carry", "release", "prove")
BEFORE_THE_FLIP = ACTS[:2]
ORIGIN = journal.Origin("move", "run-1", "account.move[0]", "anna")


def mover(ledger: Ledger, acts: FakeActs, at_once: int = 8, patience: float = 0.0) -> Mover:
    return Mover(acts, ledger, ORIGIN, Limits(at_once, 60, patience), lambda: None)


def move(ledger: Ledger, acts: FakeActs, to: Server = "new") -> bool:
    def copy_unlocked() -> None:
        acts.site.mail[to] |= acts.site.mail[moves.other(to)]

    return mover(ledger, acts).move("zoe", to, copy_unlocked)


def assert_whole(ledger: Ledger, site: FakeSite, at: Server) -> None:
    """Nobody is held, nothing waits, and all that was sent and saved is where the account is."""
    assert (site.at, site.held, site.waiting) == (at, False, set())
    assert site.mail[at] == site.everything
    assert not site.sessions[moves.other(at)]
    assert moves.all_under_way(ledger) == []


def test_an_account_moves_by_all_acts_in_their_order(ledger: Ledger) -> None:
    acts = FakeActs(FakeSite())
    assert move(ledger, acts)
    assert acts.done == [*ACTS]
    assert_whole(ledger, acts.site, "new")
    assert moves.moved(ledger) == {"zoe"}


def test_each_act_of_it_is_in_the_journal_and_none_of_them_is_one_that_a_rollback_undoes(ledger: Ledger) -> None:
    move(ledger, FakeActs(FakeSite()))
    entries = journal.entries(ledger, kind="move")
    noted = [entry.parameters["what"] for entry in entries]
    assert noted == ["intent", "flipped", "carried", "released", "proven", "done"]
    took = (entries[3].after or {})["seconds"]
    assert {*took} == {"holding", "quieting", "flipping", "kicking", "carrying"} and min(took.values()) >= 0
    assert entries[0].before == {"mailHost": ["old"]}
    assert {entry.event for entry in entries} == {"note"}


def test_who_is_there_already_is_left_alone(ledger: Ledger) -> None:
    acts = FakeActs(FakeSite(at="new"))
    assert not move(ledger, acts)
    assert (acts.done, journal.entries(ledger)) == ([], [])


def test_an_account_moves_back_with_what_came_meanwhile(ledger: Ledger) -> None:
    acts = FakeActs(FakeSite())
    move(ledger, acts)
    acts.site.send()
    acts.site.work()
    assert move(ledger, acts, "old")
    assert_whole(ledger, acts.site, "old")
    assert moves.moved(ledger) == set()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("to", ["new", "old"])
def test_killed_at_any_act_and_run_again_it_comes_to_the_same_end(
    ledger: Ledger, act: str, when: str, to: Server
) -> None:
    site = FakeSite(at=moves.other(to), sessions={to: 0, moves.other(to): 2})
    with pytest.raises(Killed):
        move(ledger, FakeActs(site, (act, when)), to)
    assert len(moves.all_under_way(ledger)) == 1
    move(ledger, FakeActs(site), to)
    assert_whole(ledger, site, to)
    assert not move(ledger, FakeActs(site), to), "one more run changes nothing"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("act", ACTS)
def test_killed_at_any_act_it_is_undone_before_the_last_pass_has_ended_and_finished_after_it(
    ledger: Ledger, act: str, when: str
) -> None:
    """What the last task of a run does, or the first one of the next."""
    site = FakeSite()
    with pytest.raises(Killed):
        move(ledger, FakeActs(site, (act, when)))
    (left,) = moves.all_under_way(ledger)
    ended = mover(ledger, FakeActs(site)).take_up(left, forward=False)
    finished = act in ("release", "prove")
    assert ended.state is (State.DONE if finished else State.UNDONE)
    assert_whole_or_as_before(ledger, site, "new" if finished else "old", flipped=act not in BEFORE_THE_FLIP)


def assert_whole_or_as_before(ledger: Ledger, site: FakeSite, at: Server, *, flipped: bool) -> None:
    """Without a flip nobody was logged out."""
    if not flipped:
        assert site.sessions == {"old": 2, "new": 0}
    assert (site.at, site.held, site.waiting) == (at, False, set())
    assert site.mail[at] == site.everything
    assert moves.all_under_way(ledger) == []


@pytest.mark.parametrize("killed", ACTS)
@pytest.mark.parametrize("again", ["flip", "kick", "carry", "release"])
def test_killed_again_on_its_way_back_it_still_comes_back(ledger: Ledger, killed: str, again: str) -> None:
    site = FakeSite()
    with pytest.raises(Killed):
        move(ledger, FakeActs(site, (killed, "after")))
    (left,) = moves.all_under_way(ledger)
    try:
        mover(ledger, FakeActs(site, (again, "before"))).take_up(left, forward=False)
    except Killed:
        (left,) = moves.all_under_way(ledger)
        mover(ledger, FakeActs(site)).take_up(left, forward=False)
    at: Server = "new" if killed in ("release", "prove") else "old"
    assert_whole_or_as_before(ledger, site, at, flipped=killed not in BEFORE_THE_FLIP)


@pytest.mark.parametrize("act", ["kick", "carry", "release", "prove"])
def test_however_a_move_ends_its_user_is_not_kept_out_any_longer(ledger: Ledger, act: str) -> None:
    """Also where it stands still, or somebody else goes on with it: who is kept out is told nothing."""
    acts = FakeActs(FakeSite())
    acts.fail[act] = AccessError("old can't be reached")
    with pytest.raises(MoveFailed):
        move(ledger, acts)
    assert not acts.keeps_out


def test_who_has_waited_long_for_a_place_is_copied_once_more_before_the_hold(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "STALE_SECONDS", -1.0)
    acts = FakeActs(FakeSite())
    passes: list[list[str]] = []
    mover(ledger, acts).move("zoe", "new", lambda: passes.append([*acts.done]))
    assert passes == [[], []]


def test_its_place_is_another_ones_while_it_is_copied(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is held then, and how long its mail is held does not begin."""
    monkeypatch.setattr(machine, "STALE_SECONDS", -1.0)
    held: list[int] = []
    mover(ledger, FakeActs(FakeSite())).move("zoe", "new", lambda: held.append(len(moves.holds(ledger))))
    assert held == [0, 0]


def test_where_that_pass_fails_nothing_was_begun(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "STALE_SECONDS", -1.0)
    acts, passes = FakeActs(FakeSite()), [None, AccessError("new is full")]

    def prepare() -> None:
        if error := passes.pop(0):
            raise error

    with pytest.raises(AccessError):
        mover(ledger, acts).move("zoe", "new", prepare)
    assert (acts.done, moves.all_under_way(ledger)) == ([], [])


@pytest.mark.parametrize("act", ACTS[:5])
def test_an_act_that_fails_turns_the_move_and_says_why(ledger: Ledger, act: str) -> None:
    acts = FakeActs(FakeSite())
    acts.fail[act] = AccessError("mx can't be reached")
    with pytest.raises(MoveFailed, match="zoe was not moved and is on old as before: mx can't be reached"):
        move(ledger, acts)
    assert_whole_or_as_before(ledger, acts.site, "old", flipped=act in ("kick", "carry"))
    assert "failed" in [entry.parameters["what"] for entry in journal.entries(ledger)]
    move(ledger, acts)
    assert_whole(ledger, acts.site, "new")


@pytest.mark.parametrize("act", ACTS)
def test_an_act_that_fails_while_a_server_starts_again_is_tried_again(
    ledger: Ledger, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "TRY_AGAIN_SECONDS", 0.0)
    acts = FakeActs(FakeSite())
    acts.fail[act] = AccessError("mx can't be reached")
    assert mover(ledger, acts, patience=60.0).move("zoe", "new", lambda: None)
    assert acts.done == [*ACTS]
    assert_whole(ledger, acts.site, "new")


def test_an_entry_that_can_not_be_flipped_is_not_held_for_it(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has changed it meanwhile, so that it says neither server."""
    acts = FakeActs(FakeSite())
    acts.fail["flip"] = CannotMove("`mailRoutingAddress` has 'zoe@elsewhere.test'")
    answers = iter([False, False])
    monkeypatch.setattr(acts, "is_at", lambda server: next(answers))
    with pytest.raises(MoveFailed, match="elsewhere"):
        move(ledger, acts)
    assert_whole_or_as_before(ledger, acts.site, "old", flipped=False)


def test_a_mistake_in_bascule_leaves_nobody_held_either(ledger: Ledger) -> None:
    acts = FakeActs(FakeSite())
    acts.fail["quiet"] = ZeroDivisionError("oops")
    with pytest.raises(MoveFailed, match="oops"):
        move(ledger, acts)
    assert_whole_or_as_before(ledger, acts.site, "old", flipped=False)


def test_a_release_that_fails_stands_in_the_ledger_until_it_succeeds(ledger: Ledger) -> None:
    acts = FakeActs(FakeSite())
    acts.fail["release"] = AccessError("mx can't be reached")
    with pytest.raises(StillHeld, match="waits at the MX"):
        move(ledger, acts)
    assert [held.state for held in moves.holds(ledger)] == [State.RELEASING]
    move(ledger, acts)
    assert_whole(ledger, acts.site, "new")


def test_a_proof_that_fails_is_told_and_the_account_has_moved(ledger: Ledger) -> None:
    acts = FakeActs(FakeSite())
    acts.fail["prove"] = AccessError("no answer in time")
    with pytest.raises(NotProven, match=r"is on new and its mail flows.*no answer in time"):
        move(ledger, acts)
    assert_whole(ledger, acts.site, "new")


def test_a_move_that_turned_and_is_not_proven_says_why_it_turned(ledger: Ledger) -> None:
    acts = FakeActs(FakeSite())
    acts.fail |= {"carry": AccessError("new is full"), "prove": AccessError("no answer in time")}
    with pytest.raises(NotProven, match=r"is on old and.*no answer in time\. It was not moved: new is full"):
        move(ledger, acts)


def test_an_account_that_cannot_be_moved_is_not_held(ledger: Ledger) -> None:
    def refuse() -> None:
        raise CannotMove("2 problems wait")

    acts = FakeActs(FakeSite())
    with pytest.raises(CannotMove):
        mover(ledger, acts).move("zoe", "new", refuse)
    assert (acts.done, moves.all_under_way(ledger)) == ([], [])


def test_no_more_accounts_are_held_at_once_than_asked_for(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    until = now() + timedelta(seconds=60)
    first = moves.hold(ledger, moves.begin(ledger, "anna", "new", {}, "run-1"), at_once=1, until=until)
    assert first is not None
    monkeypatch.setattr("bascule.moves.machine.PLACE_SECONDS", 0.0)
    acts = FakeActs(FakeSite())
    with pytest.raises(MoveFailed, match="1 other accounts were held"):
        mover(ledger, acts, at_once=1).move("zoe", "new", lambda: None)
    assert (acts.done, acts.site.held) == ([], False)
    moves.note(ledger, first, State.DONE)
    assert mover(ledger, acts, at_once=1).move("zoe", "new", lambda: None)


@pytest.mark.parametrize("act", ACTS)
def test_who_slept_while_another_run_ended_its_move_does_not_go_on(ledger: Ledger, act: str) -> None:
    """A paused machine, or a clock that was set forward: its lease was lost by time."""
    site = FakeSite()
    sleeper = FakeActs(site)

    def sleep() -> None:
        (left,) = moves.all_under_way(ledger)
        mover(ledger, FakeActs(site)).take_up(left, forward=False)

    sleeper.after[act] = sleep
    with pytest.raises(moves.TakenUp, match=r"was taken up by another run, which has brought it to `(un)?done`"):
        move(ledger, sleeper)
    finished = act in ("release", "prove")
    assert_whole_or_as_before(ledger, site, "new" if finished else "old", flipped=act not in BEFORE_THE_FLIP)


@pytest.mark.parametrize("forward", [True, False])
def test_who_slept_within_the_flip_while_another_run_undid_its_move_flips_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, forward: bool
) -> None:
    """Behind the question whose the account is, and before the modify."""
    site = FakeSite()
    sleeper = FakeActs(site)
    flip = sleeper.flip

    def sleep(to: Server) -> float:
        (left,) = moves.all_under_way(ledger)
        mover(ledger, FakeActs(site)).take_up(left, forward=forward)
        return flip(to)

    monkeypatch.setattr(sleeper, "flip", sleep)
    with pytest.raises(moves.TakenUp):
        move(ledger, sleeper)
    assert_whole_or_as_before(ledger, site, "new" if forward else "old", flipped=forward)


def test_a_hold_that_somebody_takes_away_before_the_flip_ends_the_move_on_old(ledger: Ledger) -> None:
    acts = FakeActs(FakeSite())
    acts.after["quiet"] = lambda: setattr(acts.site, "held", False)
    with pytest.raises(MoveFailed, match="zoe was not moved and is on old as before: the entry of zoe has no hold any"):
        move(ledger, acts)
    assert_whole_or_as_before(ledger, acts.site, "old", flipped=False)


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("act", ["flip", "kick"])
def test_a_hold_that_is_taken_away_behind_the_flip_comes_again_before_the_next_one(
    ledger: Ledger, act: str, forward: bool
) -> None:
    """On the way back, or when the move is taken up: else mail would come behind the pass, or it would stand still."""
    site = FakeSite()
    with pytest.raises(Killed):
        move(ledger, FakeActs(site, (act, "after")))
    site.held = False
    (left,) = moves.all_under_way(ledger)
    acts = FakeActs(site)
    mover(ledger, acts).take_up(left, forward=forward)
    assert acts.done[:3] == ["hold", "quiet", "flip"]
    assert "held again" in [entry.parameters["what"] for entry in journal.entries(ledger)]
    assert_whole_or_as_before(ledger, site, "new" if forward else "old", flipped=True)


@pytest.mark.parametrize("act", ACTS[:6])
def test_whose_entry_is_deleted_while_it_is_held_is_let_go(ledger: Ledger, act: str) -> None:
    """Else its move would never end, keep a place for ever, and stand in the way of the freeze."""
    site = FakeSite()
    acts = FakeActs(site)
    acts.after["hold" if act == "hold" else ACTS[ACTS.index(act) - 1]] = site.delete
    if act == "carry":
        acts.fail[act] = AccessError("old knows no such user")
    try:
        move(ledger, acts)
    except MoveFailed as error:
        assert "the move of zoe has ended, and mail for it waits no more: " in str(error)
        assert "the directory has no entry" in str(error)
    assert (site.held, site.waiting, moves.all_under_way(ledger)) == (False, set(), [])


@pytest.mark.parametrize("act", ACTS[:6])
@pytest.mark.parametrize("forward", [True, False])
def test_a_move_that_broke_off_ends_honestly_where_its_entry_was_deleted(
    ledger: Ledger, act: str, forward: bool
) -> None:
    site = FakeSite()
    with pytest.raises(Killed):
        move(ledger, FakeActs(site, (act, "before")))
    (left,) = moves.all_under_way(ledger)
    site.delete()
    with pytest.raises(MoveFailed, match=r"the move of zoe has ended.*the directory has no entry of the account"):
        mover(ledger, FakeActs(site)).take_up(left, forward=forward)
    assert (site.waiting, moves.all_under_way(ledger)) == (set(), [])
    last = journal.entries(ledger, kind="move")[-1]
    assert last.after == {"state": "done" if act == "release" else "undone", "server": ""}
    assert "no entry of the account zoe" in last.note
    assert ("What has come to new since the flip" in last.note) == (act in ("flip", "kick", "carry"))


@pytest.mark.parametrize("act", ["kick", "carry"])
def test_whose_entry_comes_back_after_its_move_has_ended_without_it_is_moved_once_more(
    ledger: Ledger, act: str
) -> None:
    """It leads to new, where not all of old is: that the account is there already is not believed."""
    site = FakeSite()
    acts = FakeActs(site)
    acts.after[ACTS[ACTS.index(act) - 1]] = site.delete
    acts.fail[act] = AccessError("old knows no such user")
    with pytest.raises(MoveFailed, match="has ended"):
        move(ledger, acts)
    site.entry = True
    assert (site.at, moves.moved(ledger)) == ("new", set())
    assert move(ledger, FakeActs(site))
    assert_whole(ledger, site, "new")
    assert not move(ledger, FakeActs(site)), "now it is"


def test_what_stood_still_without_an_entry_is_flipped_back_when_there_is_one_again(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = FakeSite()
    with pytest.raises(Killed):
        move(ledger, FakeActs(site, ("carry", "before")))
    site.delete()
    acts = FakeActs(site)
    monkeypatch.setattr(acts, "release_without_entry", lambda: fail_with(AccessError("mx can't be reached")))
    with pytest.raises(StillHeld):
        mover(ledger, acts).take_up(moves.all_under_way(ledger)[0], forward=False)
    site.entry = True
    mover(ledger, FakeActs(site)).take_up(moves.all_under_way(ledger)[0], forward=False)
    assert_whole_or_as_before(ledger, site, "old", flipped=True)


def test_what_waits_for_a_deleted_account_is_tried_again_while_its_mx_is_away(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = FakeSite()
    with pytest.raises(Killed):
        move(ledger, FakeActs(site, ("quiet", "before")))
    site.delete()
    acts = FakeActs(site)
    monkeypatch.setattr(acts, "release_without_entry", lambda: fail_with(AccessError("mx can't be reached")))
    with pytest.raises(StillHeld, match=r"mx can't be reached \(it broke off \(quieting\); then the directory has no"):
        mover(ledger, acts).take_up(moves.all_under_way(ledger)[0], forward=False)
    with pytest.raises(MoveFailed, match="has ended"):
        mover(ledger, FakeActs(site)).take_up(moves.all_under_way(ledger)[0], forward=False)


def fail_with(error: Exception) -> None:
    raise error


def test_who_slept_during_an_act_that_fails_then_turns_nothing(ledger: Ledger) -> None:
    """The next one to look at the move has its lease already, and finds it as it was left."""
    acts = FakeActs(FakeSite())
    acts.fail["quiet"] = AccessError("mx can't be reached")

    def still_ours() -> None:
        if "quiet" not in acts.fail:
            raise leases.LeaseHeld("the watch has it now")

    with pytest.raises(leases.LeaseHeld, match="the watch has it now"):
        Mover(acts, ledger, ORIGIN, Limits(8, 60), still_ours).move("zoe", "new", lambda: None)
    (left,) = moves.all_under_way(ledger)
    assert (left.state, left.turned) == (State.QUIETING, False)


@pytest.mark.parametrize("act", ["hold", "release"])
def test_who_has_lost_its_lease_tries_no_act_again(ledger: Ledger, act: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hold that it put there then would be nobody's."""
    monkeypatch.setattr(machine, "TRY_AGAIN_SECONDS", 0.0)
    acts = FakeActs(FakeSite())
    acts.fail[act] = AccessError("the SSH connection broke")

    def still_ours() -> None:
        if act not in acts.fail:
            raise leases.LeaseHeld("the watch has it now")

    with pytest.raises(leases.LeaseHeld, match="the watch has it now"):
        Mover(acts, ledger, ORIGIN, Limits(8, 60, 60.0), still_ours).move("zoe", "new", lambda: None)
    assert act not in acts.done


def test_a_hold_that_was_put_there_again_is_seen_by_the_mx_before_the_flip_also_at_the_next_try(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "TRY_AGAIN_SECONDS", 0.0)
    site = FakeSite()
    with pytest.raises(Killed):
        move(ledger, FakeActs(site, ("kick", "before")))
    site.held = False
    acts = FakeActs(site)
    acts.fail["quiet"] = AccessError("mx can't be reached")
    mover(ledger, acts, patience=60.0).take_up(moves.all_under_way(ledger)[0], forward=True)
    assert acts.done[:4] == ["hold", "hold", "quiet", "flip"]
    assert_whole(ledger, site, "new")


def test_who_has_lost_its_lease_begins_no_act_any_more(ledger: Ledger) -> None:
    acts = FakeActs(FakeSite())
    with leases.lease(ledger, "zoe", "task"), pytest.raises(leases.LeaseHeld, match="the watch has it now"):
        acts.after["quiet"] = lambda: take_lease(ledger, "the watch")
        Mover(acts, ledger, ORIGIN, Limits(8, 60), partial(leases.require, ledger, "zoe", "task")).move(
            "zoe", "new", lambda: None
        )
    assert acts.done == ["hold", "quiet"]


def take_lease(ledger: Ledger, owner: str) -> None:
    with ledger.session() as session:
        session.get_one(leases.LeaseRow, "zoe").owner = owner


def test_one_account_has_one_move_at_a_time(ledger: Ledger) -> None:
    moves.begin(ledger, "zoe", "new", {}, "run-1")
    with pytest.raises(LedgerError, match="zoe is being moved already"):
        moves.begin(ledger, "zoe", "old", {}, "run-2")


def test_a_hold_is_overdue_when_its_time_is_over(ledger: Ledger) -> None:
    begun = moves.begin(ledger, "zoe", "new", {}, "run-1")
    held = moves.hold(ledger, begun, at_once=1, until=now() - timedelta(seconds=1))
    assert held is not None and held.is_overdue and not begun.is_overdue


def test_states_are_numbered_as_the_page_counts_them() -> None:
    assert [(state.number, str(state)) for state in ORDER[1:8]] == [
        (3, "holding"), (4, "quieting"), (5, "flipping"), (6, "kicking"), (7, "carrying"), (8, "releasing"),
        (9, "proving"),
    ]  # fmt: skip
