//! Every body has a result, and every playable note is in the file.
#![allow(clippy::unwrap_used)]

use midly::{MetaMessage, MidiMessage, Smf, TrackEventKind};
use proptest::{collection::vec, prelude::*, test_runner::RngSeed};
use serde_json::{Map, Value, json};
use suno_midi::{
    Options, Outcome, TaskId, convert,
    document::State,
    format,
    options::{Quantize, RenderOptions, TempoChoice},
    provider::{
        api::{Answer, Report, new_task, report},
        callback::{self, Callback, NotACallback},
        check_json,
        task_ids::find_task_ids,
    },
    score::MAX_START_SECONDS,
};

fn off() -> Options {
    Options {
        render: RenderOptions {
            tempo: Some(TempoChoice::Off),
            ..RenderOptions::default()
        },
        ..Options::default()
    }
}

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
        prop::sample::select(vec![
            "Drums", "complete", "success", "fail", "running", "SUCCESS", "a/midi", "a/b"
        ])
        .prop_map(str::to_owned)
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number,
        text.prop_map(Value::String)
    ];
    let name = prop_oneof![
        4 => prop::sample::select(vec!["code", "msg", "data", "taskId", "task_id", "instruments", "name", "notes", "pitch", "start", "end", "velocity", "midiData", "state", "successFlag", "model", "resultJson", "resultObject", "param", "body", "failMsg", "success"]).prop_map(str::to_owned),
        1 => ".{0,6}",
    ];
    leaf.prop_recursive(7, 200, 8, move |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Value::String(inner.to_string())),
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

/// A callback that was damaged on its way: some of its bytes are others.
fn any_damaged_callback() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![prop::sample::select(br#"{}[],:"\09.-+e nu"#.to_vec()), any::<u8>()];
    (any_callback(), vec((any::<prop::sample::Index>(), byte), 0..4)).prop_map(|(body, damages)| {
        let mut body = body.to_string().into_bytes();
        for (place, byte) in damages {
            *place.get_mut(&mut body) = byte;
        }
        body
    })
}

/// A song with notes at any time, of which some are on a beat.
fn any_song() -> impl Strategy<Value = Value> {
    let note = (0..4u8, 0..4000u32, 1..600u32, any::<bool>()).prop_map(|(pitch, start, length, on_beat)| {
        let start = if on_beat { start / 48 * 48 } else { start };
        json!({"pitch": 60 + pitch, "start": f64::from(start) / 96.0, "end": f64::from(start + length) / 96.0, "velocity": 1})
    });
    let name = prop_oneof![Just("Drums".to_owned()), Just("Piano".to_owned()), ".{0,60}"];
    vec((name, vec(note, 0..60)), 0..20).prop_map(|instruments| {
        let instruments: Vec<Value> = instruments
            .into_iter()
            .map(|(name, notes)| json!({"name": name, "notes": notes}))
            .collect();
        json!({"code": 200, "data": {"taskId": "task", "instruments": instruments}})
    })
}

fn any_tempo() -> impl Strategy<Value = TempoChoice> {
    prop_oneof![
        Just(TempoChoice::Auto),
        (20.0..400.0f64).prop_map(TempoChoice::Near),
        (20.0..400.0f64).prop_map(TempoChoice::Bpm)
    ]
}

fn any_status() -> impl Strategy<Value = u16> {
    prop_oneof![Just(200), any::<u16>()]
}

/// A body under the covers that are read.
fn any_cover() -> impl Strategy<Value = Value> {
    let members = |names: &'static [&'static str]| {
        let member = prop::option::weighted(0.5, any_json());
        vec(member, names.len()).prop_map(|values| {
            let members = names
                .iter()
                .zip(values)
                .filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
            Value::Object(members.collect())
        })
    };
    let code = prop_oneof![3 => Just(json!(200)), 1 => any_json()];
    let data = members(&[
        "taskId",
        "model",
        "state",
        "successFlag",
        "midiData",
        "resultJson",
        "instruments",
        "tracks",
    ]);
    (code, data).prop_map(|(code, data)| json!({"code": code, "msg": "success", "data": data}))
}

/// Whether `found` holds for a value, a value in it, or the JSON in a text in it.
fn anywhere(value: &Value, found: &impl Fn(&str, &Value) -> bool) -> bool {
    match value {
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| found(name, value) || anywhere(value, found)),
        Value::Array(values) => values.iter().any(|value| anywhere(value, found)),
        Value::String(text) => serde_json::from_str(text).is_ok_and(|value| anywhere(&value, found)),
        _ => false,
    }
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

/// The events of a file's tracks with their ticks.
fn ticks_of<'a>(smf: &'a Smf<'_>) -> Vec<Vec<(u32, TrackEventKind<'a>)>> {
    let ticks = |track: &'a Vec<midly::TrackEvent<'_>>| {
        let mut now = 0;
        let event = |event: &midly::TrackEvent<'a>| {
            now += event.delta.as_int();
            (now, event.kind)
        };
        track.iter().map(event).collect()
    };
    smf.tracks.iter().map(ticks).collect()
}

/// The bar lines of a file up to a tick, as a DAW draws them.
fn bar_lines(conductor: &[(u32, TrackEventKind<'_>)], until: u32) -> Vec<u32> {
    let signatures: Vec<(u32, u32)> = conductor
        .iter()
        .filter_map(|&(tick, event)| match event {
            TrackEventKind::Meta(MetaMessage::TimeSignature(upper, power, ..)) => {
                Some((tick, u32::from(upper) * ((4 * 480) >> power)))
            }
            _ => None,
        })
        .collect();
    let mut lines = Vec::new();
    for (index, &(from, width)) in signatures.iter().enumerate() {
        let to = signatures.get(index + 1).map_or(until + width, |next| next.0);
        lines.extend((from..to).step_by(width as usize));
    }
    lines
}

/// How far the note on that is furthest from its grid line is from it, in ticks.
fn furthest_from_a_line(midi: &[u8], step: u32) -> u32 {
    let smf = Smf::parse(midi).unwrap();
    let tracks = ticks_of(&smf);
    let ons: Vec<u32> = tracks[1..]
        .iter()
        .flatten()
        .filter(|(_, event)| {
            matches!(
                event,
                TrackEventKind::Midi {
                    message: MidiMessage::NoteOn { .. },
                    ..
                }
            )
        })
        .map(|(tick, _)| *tick)
        .collect();
    let bars = bar_lines(&tracks[0], ons.iter().copied().max().unwrap_or(0));
    let away = |&on: &u32| {
        let bar = bars[bars.partition_point(|&bar| bar <= on) - 1];
        ((on - bar) % step).min(step - (on - bar) % step)
    };
    ons.iter().map(away).max().unwrap_or(0)
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
        State::Failed | State::Pending | State::Invalid | State::Unsupported | State::Unreadable => {
            assert!(midi.is_none() && document.song.is_none())
        }
        State::Expired | State::Unknown => unreachable!("no body says so"),
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
    fn any_json_has_a_result(body in prop_oneof![any_json(), any_callback()]) {
        let body = body.to_string();
        prop_assert_eq!(check_json(body.as_bytes()), Ok(()));
        assert_sound(&convert(&task(), body.as_bytes(), &Options::default()));
    }

    #[test]
    fn no_song_is_empty_unless_the_body_says_so(body in prop_oneof![any_json(), any_cover()]) {
        let state = convert(&task(), body.to_string().as_bytes(), &Options::default()).document.state;
        if state == State::Empty {
            let has_instruments = anywhere(&body, &|name, _| name == "instruments");
            let says_done = anywhere(&body, &|name, value| match name {
                "state" => value.as_str().is_some_and(|state| state.trim().eq_ignore_ascii_case("complete")),
                "successFlag" => true,
                _ => false,
            });
            let is_new = anywhere(&body["data"], &|name, _| name == "model" || name == "resultJson");
            prop_assert!(has_instruments || says_done && !is_new, "{body}");
        }
    }

    #[test]
    fn a_body_can_be_read_if_it_is_json(body in any_damaged_callback()) {
        let unreadable = matches!(callback::read(&body), Err(NotACallback::NotJson(_)));
        prop_assert_eq!(unreadable, check_json(&body).is_err());
    }

    #[test]
    fn any_bytes_have_a_result(body in vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(callback::read_with_task_ids(&body).0, find_task_ids(&body));
        assert_sound(&convert(&task(), &body, &Options::default()));
    }

    #[test]
    fn an_answer_that_is_done_has_a_song(status in any_status(), retry_after in any::<Option<std::time::Duration>>(), body in any_callback()) {
        let answer = |body: Vec<u8>| Answer { status, retry_after, body };
        let body = body.to_string().into_bytes();
        if let Ok(Report::Done(body)) = report(&task(), answer(body.clone())) {
            prop_assert!(matches!(callback::read(&body), Ok(Callback::Song(_))));
        }
        let _ = new_task(&answer(body));
    }

    #[test]
    fn any_bytes_are_an_answer(status in any_status(), body in vec(any::<u8>(), 0..200)) {
        let answer = Answer { status, retry_after: None, body };
        let _ = new_task(&answer);
        prop_assert!(!matches!(report(&task(), answer), Ok(Report::Done(_))));
    }

    #[test]
    fn the_scan_finds_the_ids_that_a_full_parse_finds(data in any_json(), top in any_json(), pretty in any::<bool>()) {
        let body = json!({"data": data, "taskId": top, "instruments": data});
        let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.unwrap();
        let ids = ids_in(&body);
        prop_assert_eq!(find_task_ids(text.as_bytes()), &ids[..]);
        prop_assert_eq!(callback::read_with_task_ids(text.as_bytes()).0, ids);
    }

    /// Further files leave the MIDI file as it is. The files of the instruments have its tracks.
    #[test]
    fn split_and_quantized_files_leave_the_first_file_alone(body in any_song(), choice in 1..5usize, tempo in any_tempo()) {
        let body = body.to_string();
        let quantize = Quantize::ALL[choice];
        let options = RenderOptions { tempo: Some(tempo), ..RenderOptions::default() };
        let quantized = |strength: &str| {
            let (quantize, quantize_strength) = (Some(quantize), Some(strength.parse().unwrap()));
            let options = RenderOptions { split: Some(true), quantize, quantize_strength, ..options };
            convert(&task(), body.as_bytes(), &options.into())
        };
        let plain = convert(&task(), body.as_bytes(), &options.into());
        let (still, moved) = (quantized("0"), quantized("1"));
        let first = &plain.file(format::MIDI).unwrap().bytes;
        for outcome in [&still, &moved] {
            prop_assert_eq!(&outcome.files[..2], &plain.files[..]);
        }
        prop_assert_eq!(&still.file(format::QUANTIZED).unwrap().bytes, first);

        let quantized = &moved.file(format::QUANTIZED).unwrap().bytes;
        prop_assert!(notes_of(quantized) <= notes_of(first));
        prop_assert_eq!(furthest_from_a_line(quantized, 1920 / quantize.lines_per_whole_note().unwrap()), 0);

        let whole = Smf::parse(first).unwrap();
        let instruments = &moved.document.song.as_ref().unwrap().instruments;
        let parts: Vec<_> = moved.files.iter().filter(|file| file.format == format::PART).collect();
        prop_assert_eq!((parts.len(), instruments.len()), (whole.tracks.len() - 1, whole.tracks.len() - 1));
        let mut names = std::collections::BTreeSet::new();
        for (index, (part, instrument)) in parts.into_iter().zip(instruments).enumerate() {
            let part = Smf::parse(&part.bytes).unwrap();
            prop_assert_eq!(part.tracks, vec![whole.tracks[0].clone(), whole.tracks[index + 1].clone()]);
            let name = instrument.file.as_deref().unwrap();
            let safe = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "/-.".contains(c);
            prop_assert!(name.starts_with("midi/task/") && name.len() < 70 && name.chars().all(safe), "{}", name);
            prop_assert!(names.insert(name), "two instruments share {}", name);
        }
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
        let midi = convert(&task(), body.as_bytes(), &off()).file(format::MIDI).unwrap().bytes.clone();

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
    let outcome = convert(&task(), body.to_string().as_bytes(), &Options::default());
    assert_sound(&outcome);
    assert_eq!(outcome.document.song.unwrap().seconds, MAX_START_SECONDS + 600.0);
}
