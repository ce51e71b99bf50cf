"""The filters of an account that moves: carried once more after its last pass where old has others by then."""

from collections.abc import Iterator

import pytest
from bascule.ledger import Ledger
from bascule.moves import acts
from bascule.moves.acts import FiltersWait, SiteActs
from bascule.sieve.sync import FilterCounts, FiltersFailed

from tests.unit.changes.fakes import FakeAccess


@pytest.fixture
def moving(ledger: Ledger) -> SiteActs:
    made = SiteActs(FakeAccess(), ledger, "zoe", "task")
    made.filters_carried = True
    return made


def on_old(monkeypatch: pytest.MonkeyPatch, *changed: bool) -> None:
    looks = iter(changed)
    monkeypatch.setattr(acts.filters, "changed_on_old", lambda *_: next(looks))


def carried(monkeypatch: pytest.MonkeyPatch, *results: FilterCounts | Exception) -> Iterator[FilterCounts | Exception]:
    """What the passes over the filters do, one after the other; what is left of it was not asked for."""
    left = iter(results)

    def sync(*_: object, owner: str) -> FilterCounts:
        result = next(left)
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(acts.filters, "sync_filters", sync)
    return left


def test_filters_that_are_as_they_were_cost_one_look(moving: SiteActs, monkeypatch: pytest.MonkeyPatch) -> None:
    on_old(monkeypatch, False)
    left = carried(monkeypatch, FilterCounts(put=1))
    assert moving._filters() == 0
    assert len([*left]) == 1


def test_what_another_process_has_left_is_not_known_by_a_look(
    moving: SiteActs, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving.filters_carried = False
    carried(monkeypatch, FilterCounts(put=1, activated=1))
    assert moving._filters() == 2


def test_filters_that_could_not_be_carried_are_tried_again_though_their_originals_are_known_by_then(
    moving: SiteActs, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_old(monkeypatch, True, False)
    carried(monkeypatch, FiltersFailed("new can't be reached"), FilterCounts(put=1))
    with pytest.raises(FiltersFailed):
        moving._filters()
    assert moving._filters() == 1


def test_a_filter_that_waits_for_a_person_is_no_filter_that_was_carried(
    moving: SiteActs, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_old(monkeypatch, True)
    carried(monkeypatch, FilterCounts(waiting=["zoe"]))
    with pytest.raises(FiltersWait, match="a filter that zoe has changed on old"):
        moving._filters()
    assert not moving.filters_carried
