//! The message that announces a result on the results queue.

use serde::Serialize;
use suno_midi::document::Document;

/// A result document and the bucket of its objects.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Announcement {
    /// The bucket of the objects in `files` and `source`.
    pub bucket: String,
    /// The result document.
    #[serde(flatten)]
    pub document: Document,
}

/// The largest document that is announced whole, in bytes. This is less than 256 KiB, the smallest limit that SQS has
/// ever had on a message.
const MAX_BYTES: usize = 200_000;

impl Announcement {
    /// Announces a document. Leaves out the instruments and the tempo changes if the message would be too large with them.
    pub fn new(bucket: &str, document: &Document) -> Self {
        let mut document = document.clone();
        let fits = document.to_json().len() <= MAX_BYTES;
        if let (false, Some(song)) = (fits, &mut document.song) {
            song.instruments.clear();
            song.tempo.map.clear();
            document.warnings = vec![
                "the instruments and the tempo changes are left out here for their number: read the document"
                    .to_owned(),
            ];
        }
        Self {
            bucket: bucket.to_owned(),
            document,
        }
    }
}
