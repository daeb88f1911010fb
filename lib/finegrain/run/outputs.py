"""How much of a cell's text an executed notebook keeps: its beginning and its end, however much was written.

A kernel that prints without end would fill the memory of whoever reads it and a notebook that no one can open. So the
kernel itself keeps text back, before it travels.
"""

import types

FIRST, LAST = 500_000, 100_000  # characters of a cell and stream that are kept


class Limited:
    """Takes what is written to one stream: the first part goes on at once, the last part when the cell ends."""

    def __init__(self, write, first: int = FIRST, last: int = LAST):
        self._write, self._first, self._last = write, first, last
        self._tail: list[str] = []
        self._seen, self._held = 0, 0

    def write(self, text: str) -> int:
        """Write as a stream does; returns the number of characters taken."""
        head = text[: max(0, self._first - self._seen)]
        self._seen += len(text)
        if head:
            self._write(head)
        rest = text[len(head) :]
        if rest:
            self._tail.append(rest[-self._last :])
            self._held += len(self._tail[-1])
            if self._held > 2 * self._last:
                self._tail = ["".join(self._tail)[-self._last :]]
                self._held = len(self._tail[0])
        return len(text)

    def end(self) -> None:
        """The cell is over: say how much was left out, and give the last part."""
        if self._tail:
            tail = "".join(self._tail)[-self._last :]
            left = self._seen - self._first - len(tail)
            self._write(f"\n[... {left:,} characters left out ...]\n{tail}" if left else tail)
        self._seen, self._tail, self._held = 0, [], 0


def limit(shell, streams) -> None:
    """Limit what each cell that the IPython shell runs writes to the streams."""
    for stream in streams:
        limited = Limited(stream.write)
        stream.write = types.MethodType(lambda self, text, limited=limited: limited.write(text), stream)
        shell.events.register("post_run_cell", lambda result, limited=limited: limited.end())
