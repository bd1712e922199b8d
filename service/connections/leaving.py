"""A service that is to end says so on every connection, while it still answers."""


class Leaving:
    """Known to the application, which is told, and to its connections, which then keep none.

    What is sent on a connection just as it is closed is lost: none is to be left when the service ends.
    """

    __slots__ = ("asked",)

    def __init__(self) -> None:
        self.asked = False
