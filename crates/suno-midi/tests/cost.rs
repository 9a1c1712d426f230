//! How much memory a stranger's request takes before it is verified: if the body is UTF-8, it does not grow with it. And
//! how much the texts in a verified body take.
#![allow(clippy::unwrap_used)]

use suno_midi::provider::{callback, task_ids::find_task_ids};

#[global_allocator]
static HEAP: dhat::Alloc = dhat::Alloc;

const SIZE: usize = 5_900_000;

/// The most bytes for the list of ids. The ids themselves borrow from the body.
const LIST: usize = 200;
/// The most bytes for the list and eight decoded ids.
const MOST: usize = 8_000;

/// Bodies of 5.9 MB whose id comes last, so that the scan must read all of them.
fn bodies() -> Vec<(&'static str, String)> {
    let id = r#""taskId":"5c79c0ffeebe8e"}"#;
    let note = r#"{"pitch":60,"start":"12.34375","end":12.5,"velocity":0.8},"#;
    let filled = |unit: &str| unit.repeat(SIZE / unit.len());
    let levels = SIZE / 2;
    vec![
        (
            "notes",
            format!(r#"{{"data":{{"instruments":[{}0]}},{id}"#, filled(note)),
        ),
        ("one string", format!(r#"{{"x":"{}",{id}"#, filled("y"))),
        ("one string of escapes", format!(r#"{{"x":"{}",{id}"#, filled("\\n"))),
        ("names", format!(r#"{{{}{id}"#, filled(r#""n\u0061me":0,"#))),
        ("one long name", format!(r#"{{"{}":0,{id}"#, filled("y"))),
        ("one long name of escapes", format!(r#"{{"{}":0,{id}"#, filled("\\n"))),
        (
            "lists in lists",
            format!(r#"{{"x":{}{},{id}"#, "[".repeat(levels), "]".repeat(levels)),
        ),
        (
            "objects in objects",
            format!(
                r#"{{"x":{}0{},{id}"#,
                r#"{"x":"#.repeat(levels / 3),
                "}".repeat(levels / 3)
            ),
        ),
        ("never closed", format!(r#"{{{id},{}"#, "[".repeat(SIZE))),
    ]
}

/// How many ids the scan finds, and its peak memory in bytes.
fn scan(body: &[u8]) -> (usize, usize) {
    let _profiler = dhat::Profiler::builder().testing().build();
    let ids = find_task_ids(body);
    (ids.len(), dhat::HeapStats::get().max_bytes)
}

/// One test, because a profiler counts the whole process.
#[test]
fn memory_is_bounded() {
    the_scan_for_ids_holds_nothing_but_the_ids();
    a_text_in_a_body_is_decoded_once_and_not_kept();
}

fn the_scan_for_ids_holds_nothing_but_the_ids() {
    for (name, body) in bodies() {
        assert_eq!(find_task_ids(body.as_bytes()), ["5c79c0ffeebe8e"], "{name}");
        let (_, held) = scan(body.as_bytes());
        assert!(held < LIST, "{name}: {held} bytes");
    }
    // Each of several ids is held, and twice while it is decoded.
    let escaped: Vec<String> = (0..8)
        .map(|n| format!(r#""taskId":"\n{n}{}""#, "y".repeat(760)))
        .collect();
    let (ids, held) = scan(format!("{{{}}}", escaped.join(",")).as_bytes());
    assert!(ids == 8 && held < MOST, "{ids} ids: {held} bytes");
    // Only a body that is not UTF-8 is copied: each wrong byte becomes three.
    let not_text = [b"{\"taskId\":\"", [0xff; 768].as_slice(), b"\"}"].concat();
    let (ids, held) = scan(&not_text);
    assert!(ids == 1 && held < 8 * not_text.len(), "{ids} ids: {held} bytes");
    // An id that is too long is not copied.
    let long = ["y", "\\n", "\u{e9}"].map(|unit| format!(r#"{{"taskId":"{}"}}"#, unit.repeat(SIZE / unit.len())));
    for body in long {
        let (ids, held) = scan(body.as_bytes());
        assert!(ids == 1 && held < LIST, "{ids} ids: {held} bytes");
    }
}

fn a_text_in_a_body_is_decoded_once_and_not_kept() {
    let text = |json: &str| serde_json::Value::from(json).to_string();
    let of_values = format!("[{}0]", "0,".repeat(SIZE / 2));
    let of_escapes = format!(r#"["{}"]"#, "\\n".repeat(SIZE / 5));
    for json in [&of_values, &of_escapes] {
        let one = format!(r#"{{"code":200,"data":{{"resultJson":{}}}}}"#, text(json));
        // The decoder doubles its buffer as it grows, and a text in a text has a buffer of its own.
        for (body, buffers) in [(one.clone(), 1), (format!(r#"{{"x":{}}}"#, text(&one)), 2)] {
            let _profiler = dhat::Profiler::builder().testing().build();
            let _ = callback::read(body.as_bytes());
            let held = dhat::HeapStats::get().max_bytes;
            println!("{held} bytes for {}", body.len());
            assert!(held < 2 * buffers * body.len(), "{held} bytes for {}", body.len());
        }
    }
}
