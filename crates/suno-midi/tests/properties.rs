//! Every body has a result, and every playable note is in the file.
#![allow(clippy::unwrap_used)]

use midly::{MetaMessage, MidiMessage, Smf, TrackEventKind};
use proptest::{collection::vec, prelude::*, test_runner::RngSeed};
use serde_json::{Map, Value, json};
use suno_midi::{
    Outcome, TaskId, convert,
    document::State,
    format,
    music::tempo::TempoChoice,
    provider::{check_json, task_ids::find_task_ids},
    score::MAX_START_SECONDS,
};

fn task() -> TaskId {
    "task".parse().unwrap()
}

/// Any JSON value. Names that mean something are frequent.
fn any_json() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<f64>().prop_map(|number| json!(number)),
        any::<i64>().prop_map(|number| json!(number)),
        (0..200).prop_map(|number| json!(number))
    ];
    let text = prop_oneof![
        ".{0,8}",
        "-?[0-9]{1,4}(\\.[0-9]{1,6})?(e[0-9]{1,3})?",
        Just("NaN".to_owned()),
        Just("inf".to_owned()),
        Just("Drums".to_owned())
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number,
        text.prop_map(Value::String)
    ];
    let name = prop_oneof![
        4 => prop::sample::select(vec!["code", "msg", "data", "taskId", "task_id", "instruments", "name", "notes", "pitch", "start", "end", "velocity", "midiData", "state", "successFlag"]).prop_map(str::to_owned),
        1 => ".{0,6}",
    ];
    leaf.prop_recursive(7, 200, 8, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::Array),
            vec((name.clone(), inner), 0..8).prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

/// A callback of the right form with any values in it.
fn any_callback() -> impl Strategy<Value = Value> {
    let note = (any_json(), any_json(), any_json(), any_json()).prop_map(
        |(pitch, start, end, velocity)| json!({"pitch": pitch, "start": start, "end": end, "velocity": velocity}),
    );
    vec((".{0,20}", vec(note, 0..6)), 0..20).prop_map(|instruments| {
        let instruments: Vec<Value> = instruments
            .into_iter()
            .map(|(name, notes)| json!({"name": name, "notes": notes}))
            .collect();
        json!({"code": 200, "data": {"taskId": "task", "instruments": instruments}})
    })
}

/// The ids of a body, found the slow way: parse all of it, then look.
fn ids_in(body: &Value) -> Vec<String> {
    let mut ids = Vec::new();
    for (name, value) in body.as_object().unwrap() {
        let members = match (name.as_str(), value) {
            ("data", Value::Object(data)) => data.iter().filter(|(name, _)| *name != "data").collect(),
            _ => vec![(name, value)],
        };
        for (name, value) in members {
            let id = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) if number.is_u64() => number.to_string(),
                _ => continue,
            };
            if ["taskId", "task_id"].contains(&name.as_str()) && !id.is_empty() && !ids.contains(&id) {
                ids.push(id);
            }
        }
    }
    ids.truncate(4);
    ids
}

/// Counts the notes of a file. Checks that each note on is followed by its note off before the next note on of its
/// pitch, and that no note is left sounding.
fn notes_of(midi: &[u8]) -> usize {
    let smf = Smf::parse(midi).unwrap();
    let mut notes = 0;
    for track in &smf.tracks {
        let mut sounding = [false; 128];
        for event in track {
            match event.kind {
                TrackEventKind::Midi {
                    message: MidiMessage::NoteOn { key, vel },
                    ..
                } => {
                    assert!(vel > 0 && !std::mem::replace(&mut sounding[usize::from(key.as_int())], true));
                    notes += 1;
                }
                TrackEventKind::Midi {
                    message: MidiMessage::NoteOff { key, .. },
                    ..
                } => {
                    assert!(
                        std::mem::replace(&mut sounding[usize::from(key.as_int())], false),
                        "an off before its on"
                    );
                }
                _ => {}
            }
        }
        assert_eq!(sounding, [false; 128], "a hanging note");
        assert_eq!(
            track.last().unwrap().kind,
            TrackEventKind::Meta(MetaMessage::EndOfTrack)
        );
    }
    notes
}

fn assert_sound(outcome: &Outcome) {
    let document = &outcome.document;
    let midi = outcome.file(format::MIDI);
    match document.state {
        State::Rendered | State::Empty => {
            let song = document.song.as_ref().unwrap();
            assert_eq!(notes_of(&midi.unwrap().bytes), song.notes);
            assert_eq!(song.notes == 0, document.state == State::Empty);
        }
        State::Failed | State::Pending | State::Invalid | State::Unsupported => {
            assert!(midi.is_none() && document.song.is_none())
        }
    }
    let json: Value = serde_json::from_slice(&document.to_json()).unwrap();
    assert_eq!(json["state"], document.state.name());
}

/// Tries the same cases each time, unless PROPTEST_RNG_SEED or PROPTEST_CASES asks for others. A failure prints its
/// smallest input.
fn config() -> ProptestConfig {
    let number = |name: &str| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    ProptestConfig {
        cases: number("PROPTEST_CASES")
            .and_then(|cases| cases.try_into().ok())
            .unwrap_or(400),
        rng_seed: RngSeed::Fixed(number("PROPTEST_RNG_SEED").unwrap_or(1)),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_json_has_a_result(body in any_json()) {
        let body = body.to_string();
        prop_assert_eq!(check_json(body.as_bytes()), Ok(()));
        assert_sound(&convert(&task(), body.as_bytes(), TempoChoice::Auto));
    }

    #[test]
    fn any_callback_has_a_result(body in any_callback()) {
        assert_sound(&convert(&task(), body.to_string().as_bytes(), TempoChoice::Auto));
    }

    #[test]
    fn any_bytes_have_a_result(body in vec(any::<u8>(), 0..200)) {
        let _ = find_task_ids(&body);
        assert_sound(&convert(&task(), &body, TempoChoice::Auto));
    }

    #[test]
    fn the_scan_finds_the_ids_that_a_full_parse_finds(data in any_json(), top in any_json(), pretty in any::<bool>()) {
        let body = json!({"data": data, "taskId": top, "instruments": data});
        let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.unwrap();
        prop_assert_eq!(find_task_ids(text.as_bytes()), ids_in(&body));
    }

    /// Notes that do not overlap survive the way through the file.
    #[test]
    fn parse_write_read_gives_the_same_notes(sent in vec((0..128u8, 0..192u32 * 600, 1..=127u8), 0..60)) {
        // One note for each pitch, at a time on the provider's grid.
        let sent: std::collections::BTreeMap<u8, (u32, u8)> = sent.into_iter().map(|(pitch, step, velocity)| (pitch, (step, velocity))).collect();
        let notes: Vec<Value> = sent.iter().map(|(pitch, (step, velocity))| {
            let start = f64::from(*step) / 192.0;
            json!({"pitch": pitch, "start": start.to_string(), "end": start + 0.25, "velocity": f64::from(*velocity) / 127.0})
        }).collect();
        let body = json!({"code": 200, "data": {"instruments": [{"name": "Violin", "notes": notes}]}}).to_string();
        let midi = convert(&task(), body.as_bytes(), TempoChoice::Off).file(format::MIDI).unwrap().bytes.clone();

        let smf = Smf::parse(&midi).unwrap();
        let (mut now, mut read, mut ends) = (0, std::collections::BTreeMap::new(), std::collections::BTreeMap::new());
        for event in &smf.tracks[1] {
            now += event.delta.as_int();
            match event.kind {
                TrackEventKind::Midi { message: MidiMessage::NoteOn { key, vel }, .. } => { read.insert(key.as_int(), (now / 5, vel.as_int())); }
                TrackEventKind::Midi { message: MidiMessage::NoteOff { key, .. }, .. } => { ends.insert(key.as_int(), now); }
                _ => {}
            }
        }
        prop_assert!(sent.iter().all(|(pitch, (step, _))| ends[pitch] == step * 5 + 240));
        prop_assert_eq!(read, sent);
    }
}

#[test]
fn the_latest_and_longest_note_fits_in_the_file() {
    let body = json!({"data": {"instruments": [{"name": "Violin", "notes": [{"pitch": 60, "start": MAX_START_SECONDS, "end": 1e300, "velocity": 1}]}]}});
    let outcome = convert(&task(), body.to_string().as_bytes(), TempoChoice::Auto);
    assert_sound(&outcome);
    assert_eq!(outcome.document.song.unwrap().seconds, MAX_START_SECONDS + 600.0);
}
