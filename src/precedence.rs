//! Which of several bodies of a task decides.

use suno_midi::document::State;

use crate::objects;

/// The rank of a result. An answer of the provider that decides ([`objects::is_deciding`]) ranks above every callback, if
/// it tells how the task went. Then a song ranks above an empty song, an empty song above what we cannot read, and that
/// above every other state. Within a class, the newer body
/// ranks higher; at the same time, the greater object name does. Of the results of one body, the one that
/// was asked for last ranks highest. This is a total order, so the same body and the same request decide in whatever order
/// they arrive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    decides: bool,
    class: Class,
    webhook_timestamp: u64,
    object: String,
    asked_at: u64,
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
    /// The rank of the result in `state` of the body `object`, sent at `webhook_timestamp` (Unix seconds). The state
    /// `None` stands for an object that midihook did not write; it ranks lowest.
    pub fn new(state: impl Into<Option<State>>, webhook_timestamp: u64, object: &str) -> Self {
        let state = state.into();
        let class = match state {
            Some(State::Rendered) => Class::Song,
            Some(State::Empty) => Class::Empty,
            Some(State::Unreadable) => Class::Unreadable,
            Some(
                State::Failed | State::Pending | State::Invalid | State::Unsupported | State::Expired | State::Unknown,
            )
            | None => Class::WithoutSong,
        };
        let tells = matches!(state, Some(State::Rendered | State::Empty | State::Failed));
        Self {
            decides: objects::is_deciding(object) && tells,
            class,
            webhook_timestamp,
            object: object.to_owned(),
            asked_at: 0,
        }
    }

    /// The rank of the result in `state` of a task that has no body. A result of any body ranks higher.
    pub fn without_body(state: State) -> Self {
        Self::new(state, 0, "")
    }

    /// The rank of the same result, if a musician asked for it at this time (Unix milliseconds). A result that nobody
    /// asked for is as one from 1970.
    pub fn asked_at(self, asked_at: u64) -> Self {
        Self { asked_at, ..self }
    }

    /// When the body was sent, in Unix seconds.
    pub fn webhook_timestamp(&self) -> u64 {
        self.webhook_timestamp
    }

    /// When a musician asked for the result, in Unix milliseconds; 0 if nobody did.
    pub fn when_asked(&self) -> u64 {
        self.asked_at
    }

    /// The name of the body.
    pub fn object(&self) -> &str {
        &self.object
    }

    /// True if the published result wins over `new`. A newer release may judge the same body differently and then
    /// replaces its own result, even by one without a song, unless the musician asked for the published one later.
    pub fn stands_before(&self, new: &Self) -> bool {
        let same_body = (self.webhook_timestamp, &self.object) == (new.webhook_timestamp, &new.object);
        let judged_again = same_body && self.asked_at <= new.asked_at;
        self > new && !judged_again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_never_outranks_a_song_and_the_newer_song_decides() {
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
    fn what_the_provider_answers_decides_over_every_callback() {
        let rank = |state, time, name: &str| Rank::new(state, time, &format!("raw/t/{name}.json"));
        let forged = rank(State::Rendered, 9, "a").asked_at(9);
        for state in [State::Rendered, State::Empty, State::Failed] {
            let answer = rank(state, 1, "provider-a");
            assert!(
                answer.stands_before(&forged) && !forged.stands_before(&answer),
                "{state:?}"
            );
        }
        // An answer that tells nothing replaces no song.
        assert!(forged.stands_before(&rank(State::Unreadable, 9, "provider-a")));
        let (failed, song) = (
            rank(State::Failed, 9, "provider-a"),
            rank(State::Rendered, 1, "provider-b"),
        );
        assert!(song.stands_before(&failed));
    }

    #[test]
    fn any_body_outranks_a_result_without_one() {
        for state in [State::Expired, State::Unknown] {
            let none = Rank::without_body(state);
            for late in State::ALL {
                let body = Rank::new(late, 0, "raw/t/a.json");
                assert!(body.stands_before(&none) && !none.stands_before(&body), "{late:?}");
            }
        }
        let (expired, unknown) = (Rank::without_body(State::Expired), Rank::without_body(State::Unknown));
        assert!(!unknown.stands_before(&expired) && !expired.stands_before(&unknown));
    }

    #[test]
    fn a_newer_release_may_judge_the_same_body_differently() {
        let rank = |state, time| Rank::new(state, time, "k");
        assert!(!rank(State::Rendered, 1).stands_before(&rank(State::Empty, 1)));
        assert!(rank(State::Rendered, 1).stands_before(&rank(State::Empty, 2)));
        for state in State::ALL {
            assert!(!rank(State::Empty, 1).stands_before(&rank(state, 1)), "{state:?}");
        }
        let another = Rank::new(State::Invalid, 1, "l");
        assert!(rank(State::Rendered, 1).stands_before(&another));
        let asked = |state| rank(state, 1).asked_at(5);
        assert!(!rank(State::Rendered, 1).stands_before(&asked(State::Empty)));
        assert!(asked(State::Rendered).stands_before(&rank(State::Empty, 1)));
    }

    #[test]
    fn of_one_body_the_newest_request_decides_and_a_better_body_decides_before_it() {
        let rank = |state, time, at| Rank::new(state, time, "k").asked_at(at);
        let plain = rank(State::Rendered, 1, 0);
        let (older, newer) = (rank(State::Rendered, 1, 5), rank(State::Rendered, 1, 6));
        assert!(older.stands_before(&plain) && !plain.stands_before(&older));
        assert!(newer.stands_before(&older) && !older.stands_before(&newer));
        assert!(rank(State::Rendered, 2, 0).stands_before(&newer));
        assert!(plain.stands_before(&rank(State::Failed, 2, 6)));
        assert!(Rank::new(State::Rendered, 1, "l").stands_before(&newer));
    }
}
