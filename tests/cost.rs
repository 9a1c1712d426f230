//! What a stranger's request costs before it is believed: no memory that grows with the body.
#![allow(clippy::unwrap_used)]

use midihook::provider::task_ids::find_task_ids;

#[global_allocator]
static HEAP: dhat::Alloc = dhat::Alloc;

const SIZE: usize = 5_900_000;

/// In bytes: eight ids with their escapes undone.
const MOST: usize = 8_000;

/// Bodies of 5.9 MB whose id comes last, so that all of them must be passed over.
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

#[test]
fn the_scan_for_ids_holds_nothing_but_the_ids() {
    let bodies = bodies();
    let _profiler = dhat::Profiler::builder().testing().build();
    let mut before = dhat::HeapStats::get();
    for (name, body) in &bodies {
        let ids = find_task_ids(body.as_bytes());
        let after = dhat::HeapStats::get();
        let held = after.max_bytes - before.curr_bytes;
        assert_eq!(ids, ["5c79c0ffeebe8e"], "{name}");
        assert!(held < MOST, "{name}: {held} bytes at once");
        drop(ids);
        before = dhat::HeapStats::get();
    }
    // Of several ids each is held.
    let ids: Vec<String> = (0..8)
        .map(|n| format!(r#""taskId":"\n{n}{}""#, "y".repeat(760)))
        .collect();
    let not_text: Vec<u8> = [b"{\"taskId\":\"", [0xff; 768].as_slice(), b"\"}"].concat();
    for body in [format!("{{{}}}", ids.join(",")).as_bytes(), &not_text] {
        let before = dhat::HeapStats::get();
        let ids = find_task_ids(body);
        let held = dhat::HeapStats::get().curr_bytes - before.curr_bytes;
        assert!(
            matches!(ids.len(), 1 | 8) && held < MOST,
            "{} ids: {held} bytes",
            ids.len()
        );
    }
    // An id of any length is not copied.
    for unit in ["y", "\\n", "\u{e9}"] {
        let body = format!(r#"{{"taskId":"{}"}}"#, unit.repeat(SIZE / unit.len()));
        let before = dhat::HeapStats::get();
        let ids = find_task_ids(body.as_bytes());
        assert_eq!(ids.len(), 1);
        let held = dhat::HeapStats::get().curr_bytes - before.curr_bytes;
        assert!(held < MOST, "an id of {unit:?}: {held} bytes");
    }
}
