"""Callbacks that are sent at rising rates, and what became of them."""

import dataclasses
import statistics
import time

from tests.bench.callbacks import callback

NOTES = 200
# All bodies are a song with another task id, so that making them does not slow down who sends them.
SONG, TASK = callback(NOTES), "5c79be8e"


@dataclasses.dataclass
class Callback:
    """A callback: when it had to be sent, and when which answer came. The status stays 0 if none came."""

    task_id: str
    body: str
    due: float
    status: int = 0
    answered: float = 0.0


@dataclasses.dataclass
class Step:
    """Callbacks at one rate a second, or as fast as they are answered if the rate is None. All have the same song."""

    name: str
    rate: float | None
    song: str = SONG
    callbacks: list = dataclasses.field(default_factory=list)

    def send(self, count):
        """Gives each callback when it is due. If one is late, those after it are due no later."""
        began = time.monotonic()
        for number in range(count):
            due = began + number / self.rate if self.rate else time.monotonic()
            time.sleep(max(0.0, due - time.monotonic()))
            task_id = f"{self.name}-{self.rate or 'unpaced'}-{number}"
            self.callbacks.append(Callback(task_id, self.song.replace(TASK, task_id), due))
            yield self.callbacks[-1]

    @property
    def accepted(self):
        """The tasks whose callbacks were answered 200."""
        return [callback.task_id for callback in self.callbacks if callback.status == 200]

    def figures(self):
        """How many were accepted each second, and how many milliseconds after it was due a callback was answered: the
        median, 99 %, the longest."""
        took = max(callback.answered for callback in self.callbacks) - self.callbacks[0].due
        times = sorted(1e3 * (callback.answered - callback.due) for callback in self.callbacks)
        return len(self.accepted) / took, statistics.median(times), times[int(0.99 * (len(times) - 1))], times[-1]


def without_a_song(tasks, object_names):
    """The tasks of which a file or the document is missing."""
    names = set(object_names)
    return [task for task in tasks if not {f"midi/{task}.mid", f"midi/{task}.svg", f"midi/{task}.json"} <= names]
