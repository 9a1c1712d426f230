"""What `make load` does with the deployed stack, with few callbacks."""

from tests.load.callbacks import Step, without_a_song
from tests.load.senders import to_a_stack


def test_each_accepted_callback_becomes_a_song(stack):
    step = Step("stack", rate=20)
    to_a_stack(stack, step, 40)
    assert len(step.accepted) == 40
    assert without_a_song(step.accepted, stack.object_names("midi/")) == []
    assert stack.queued("RenderDeadLetterQueueUrl") == 0
