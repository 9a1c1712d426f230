//! Which of several bodies of a task wins.

use suno_midi::document::State;

/// The rank of a result. A song ranks above an empty song, an empty song above what we cannot read, and that above every
/// other state. Within a class, the newer body ranks higher; at the same time, the greater object key. Of the results of one
/// body, the one that was requested last ranks highest. This is a total order, so the same body and the same request win in
/// whatever order they arrive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    class: Class,
    webhook_timestamp: u64,
    body_key: String,
    requested_at: u64,
}

/// What a body is worth. One that we cannot read may have a song that a later release finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    WithoutSong,
    Unreadable,
    Empty,
    Song,
}

impl Rank {
    /// The rank of the result in `state` of the body `body_key`, sent at `webhook_timestamp` (Unix seconds). The state
    /// `None` stands for an object that midihook did not write; it ranks lowest.
    pub fn new(state: impl Into<Option<State>>, webhook_timestamp: u64, body_key: &str) -> Self {
        let class = match state.into() {
            Some(State::Rendered) => Class::Song,
            Some(State::Empty) => Class::Empty,
            Some(State::Unreadable) => Class::Unreadable,
            Some(
                State::Failed | State::Pending | State::Invalid | State::Unsupported | State::Expired | State::Unknown,
            )
            | None => Class::WithoutSong,
        };
        Self {
            class,
            webhook_timestamp,
            body_key: body_key.to_owned(),
            requested_at: 0,
        }
    }

    /// The rank of the result in `state` of a task that has no body. A result of any body ranks higher.
    pub fn without_body(state: State) -> Self {
        Self::new(state, 0, "")
    }

    /// The rank of the same result, if a musician requested it at this time (Unix milliseconds); 0 if not.
    pub fn with_request(self, requested_at: u64) -> Self {
        Self { requested_at, ..self }
    }

    /// When the body was sent, in Unix seconds.
    pub fn webhook_timestamp(&self) -> u64 {
        self.webhook_timestamp
    }

    /// When a musician requested the result, in Unix milliseconds; 0 if not.
    pub fn requested_at(&self) -> u64 {
        self.requested_at
    }

    /// The key of the body; empty if there is none.
    pub fn body_key(&self) -> &str {
        &self.body_key
    }

    /// True if this published result wins over `new`. A newer release may judge the same body differently and then
    /// replaces its own result, even by one without a song, unless the musician requested the published one later.
    pub fn outranks(&self, new: &Self) -> bool {
        let same_body = (self.webhook_timestamp, &self.body_key) == (new.webhook_timestamp, &new.body_key);
        let judged_again = same_body && self.requested_at <= new.requested_at;
        self > new && !judged_again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_never_outranks_a_song_and_the_newer_song_wins() {
        let rank = |state, time| Rank::new(state, time, "k");
        assert!(rank(State::Rendered, 1) > rank(State::Failed, 9));
        assert!(rank(State::Rendered, 1) > rank(State::Empty, 9));
        assert!(rank(State::Empty, 1) > rank(State::Unreadable, 9));
        assert!(rank(State::Unreadable, 1) > rank(State::Failed, 9));
        assert!(rank(State::Empty, 1) > rank(State::Invalid, 9));
        assert!(rank(State::Empty, 1) > rank(State::Pending, 9));
        assert!(rank(State::Rendered, 2) > rank(State::Rendered, 1));
        assert!(rank(State::Failed, 2) > rank(State::Unsupported, 1));
        assert!(Rank::new(State::Rendered, 1, "b") > Rank::new(State::Rendered, 1, "a"));
        assert!(Rank::new(None, 0, "") < rank(State::Invalid, 0));
    }

    #[test]
    fn any_body_outranks_a_result_without_one() {
        for state in [State::Expired, State::Unknown] {
            let none = Rank::without_body(state);
            for late in State::ALL {
                let body = Rank::new(late, 0, "raw/t/a.json");
                assert!(body.outranks(&none) && !none.outranks(&body), "{late:?}");
            }
        }
        let (expired, unknown) = (Rank::without_body(State::Expired), Rank::without_body(State::Unknown));
        assert!(!unknown.outranks(&expired) && !expired.outranks(&unknown));
    }

    #[test]
    fn a_newer_release_may_judge_the_same_body_differently() {
        let rank = |state, time| Rank::new(state, time, "k");
        assert!(!rank(State::Rendered, 1).outranks(&rank(State::Empty, 1)));
        assert!(rank(State::Rendered, 1).outranks(&rank(State::Empty, 2)));
        for state in State::ALL {
            assert!(!rank(State::Empty, 1).outranks(&rank(state, 1)), "{state:?}");
        }
        let another = Rank::new(State::Invalid, 1, "l");
        assert!(rank(State::Rendered, 1).outranks(&another));
        let asked = |state| rank(state, 1).with_request(5);
        assert!(!rank(State::Rendered, 1).outranks(&asked(State::Empty)));
        assert!(asked(State::Rendered).outranks(&rank(State::Empty, 1)));
    }

    #[test]
    fn of_one_body_the_newest_request_wins_and_a_better_body_wins_over_it() {
        let rank = |state, time, at| Rank::new(state, time, "k").with_request(at);
        let plain = rank(State::Rendered, 1, 0);
        let (older, newer) = (rank(State::Rendered, 1, 5), rank(State::Rendered, 1, 6));
        assert!(older.outranks(&plain) && !plain.outranks(&older));
        assert!(newer.outranks(&older) && !older.outranks(&newer));
        assert!(rank(State::Rendered, 2, 0).outranks(&newer));
        assert!(plain.outranks(&rank(State::Failed, 2, 6)));
        assert!(Rank::new(State::Rendered, 1, "l").outranks(&newer));
    }
}
