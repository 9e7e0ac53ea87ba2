"""The ways out: a folder, a file system by its URL, people by mail."""

from collections.abc import Sequence

from journey.errors import OutputFailed


class NotDelivered(OutputFailed):
    """Nothing, or not to all, was delivered: try again later.

    `sent_to`: who has it nevertheless; `unsure`: the rest may have it, too, their server did not say.
    """

    def __init__(self, said: str, sent_to: Sequence[str] = (), unsure: bool = False) -> None:
        super().__init__(said)
        self.sent_to = tuple(sent_to)
        self.unsure = unsure
