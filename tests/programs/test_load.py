"""What `make load` does with one receiver process, with few callbacks."""

from tests.load.callbacks import Step, without_a_song
from tests.load.senders import to_one_process
from tests.programs.account import Account, run


def test_each_accepted_callback_becomes_a_song():
    account = Account()
    step = Step("process", rate=200)
    to_one_process(account, [step], 40)
    assert len(step.accepted) == 40
    accepted_each_second, *_ = step.figures()
    assert accepted_each_second < 220, "callbacks were sent before they were due"

    jobs = account.waiting("render")
    lost = jobs.pop()
    run(account, "RendererFunction", iter(jobs))
    account.close()
    [task] = without_a_song(step.accepted, account.objects)
    assert task in lost["Records"][0]["body"], "a callback whose job is lost is noticed, and no other"
