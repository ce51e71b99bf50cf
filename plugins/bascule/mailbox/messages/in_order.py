"""The copy by which messages get on new the UIDs that they have on old: in their order, gaps left out.

UIDs only go up: what is refused or has to be treated alone has its turn before anything behind it is stored.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

from bascule.mailbox.imap.listing import Listed
from bascule.mailbox.messages.bulk_copy import BATCH_MESSAGES, MayEnd, Outcome, batches
from bascule.mailbox.state.folder import FolderState

MESSAGES_AT_ONCE = 800  # of which the batches are held
Bulk = Callable[[list[list[Listed]], MayEnd], Outcome]


class InOrder:
    """Copies messages of one folder. `bulk` copies batches, `single` one message.

    `leave_out` lets new give this UID next. `limits`: how many messages a batch with this one may have, where new has
    broken off at one of them.
    """

    def __init__(
        self, folder: FolderState, bulk: Bulk, single: Callable[[Listed], None], leave_out: Callable[[int], None],
        limits: Mapping[int, int],
    ) -> None:  # fmt: skip
        self.folder, self.limits = folder, limits
        self._bulk, self._single, self._leave_out = bulk, single, leave_out

    def run(self, messages: Sequence[Listed], alone: frozenset[int]) -> bool:
        """Copy these, by ascending UID; those `alone` one by one.

        False when new gives other UIDs: somebody else has put something into the folder. What is not in the map then
        was not copied.
        """
        for is_alone, some in groupby(messages, key=lambda message: message.uid in alone):
            if is_alone:
                copied = all(self._one(message) for message in some)
            else:
                copied = all(self._piece(piece) for piece in self._pieces(some))
            if not copied:
                return False
        return True

    def _pieces(self, messages: Iterator[Listed]) -> Iterator[list[Listed]]:
        """What one bulk copy takes: not too many, and batches of one size."""
        piece: list[Listed] = []
        for message in messages:
            if piece and (len(piece) == MESSAGES_AT_ONCE or self._most(piece[-1]) != self._most(message)):
                yield piece
                piece = []
            piece.append(message)
        if piece:
            yield piece

    def _most(self, message: Listed) -> int:
        return self.limits.get(message.uid, BATCH_MESSAGES)

    def _piece(self, piece: list[Listed]) -> bool:
        waiting = [piece]  # the next one last
        while waiting:
            some = waiting.pop()
            outcome = self._bulk(batches(some, self._most(piece[0])), self._may_end)
            if self.folder.misplaced:
                return False
            if outcome.stopped:
                waiting.append([message for message in some if message.uid > outcome.last_uid])
            for messages, _ in outcome.refused:
                middle = len(messages) // 2
                if middle:
                    waiting += [messages[middle:], messages[:middle]]
                elif not self._one(messages[0]):
                    return False
        return True

    def _may_end(self, uid: int) -> bool:
        if not self.folder.misplaced:
            self._leave_out(uid)
        return not self.folder.misplaced

    def _one(self, message: Listed) -> bool:
        self._leave_out(message.uid)
        self._single(message)
        return not self.folder.misplaced
