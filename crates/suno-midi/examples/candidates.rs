//! The beats that may be right, one JSON callback a line of the input: a JSON list a line, of `[values, score, beats]`. The
//! first line has the names and weights of the values. `tests/music/fit.py` fits the weights with it.

use std::io::BufRead;

use suno_midi::{
    RenderOptions,
    instruments::Voice,
    provider::callback::{self, Callback},
    rhythm::{self, Onsets, WEIGHTS},
    score::Score,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", serde_json::to_string(&WEIGHTS)?);
    for line in std::io::stdin().lock().lines() {
        let Callback::Song(parts) = callback::read(line?.as_bytes())? else {
            return Err("a callback without a song".into());
        };
        let score = Score::new(parts)?;
        let onsets = Onsets::new(&score, &Voice::all(&score));
        let candidates = rhythm::candidates(&onsets, &RenderOptions::default());
        let found: Vec<_> = candidates.iter().map(|c| (c.values, c.score, &c.beats)).collect();
        println!("{}", serde_json::to_string(&found)?);
    }
    Ok(())
}
