//! Signs what is pushed to others, as [Standard Webhooks](https://www.standardwebhooks.com) 1.0.0 says.
//!
//! The header `webhook-signature` has `v1,base64(HMAC-SHA256(secret, id + "." + timestamp + "." + body))` for each secret,
//! separated by spaces. A receiver accepts the request if one of them is right, so secrets can be rotated.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The header that names the event. It is the same each time the event is sent.
pub const ID_HEADER: &str = "webhook-id";
/// The header with the time of sending, in Unix seconds.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The header with the signatures.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

const SECRET_PREFIX: &str = "whsec_";
/// How many bytes a secret has (specification, "Signature scheme").
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret shared with a receiver. `Debug` hides it.
#[derive(Clone)]
pub struct PushSecret(Hmac<Sha256>);

impl PushSecret {
    /// The secret from its text, without the white space around it; `None` if that is not `whsec_` and the base64 of 24 to
    /// 64 bytes.
    pub fn new(text: &str) -> Option<Self> {
        let encoded = text.trim().strip_prefix(SECRET_PREFIX)?;
        let secret = STANDARD.decode(encoded).ok()?;
        if !SECRET_BYTES.contains(&secret.len()) {
            return None;
        }
        Hmac::new_from_slice(&secret).ok().map(Self)
    }

    fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let mac = self.0.clone().chain_update(format!("{id}.{timestamp}."));
        let signature = mac.chain_update(body).finalize().into_bytes();
        format!("v1,{}", STANDARD.encode(signature))
    }
}

impl fmt::Debug for PushSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PushSecret(…)")
    }
}

/// The content of [`SIGNATURE_HEADER`]: a signature by each secret. An id must have no `.`, or it could be read as another
/// id and another timestamp.
pub fn signatures(secrets: &[PushSecret], id: &str, timestamp: u64, body: &[u8]) -> String {
    let signatures: Vec<_> = secrets.iter().map(|secret| secret.sign(id, timestamp, body)).collect();
    signatures.join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_reference_libraries() {
        // The known answer in the tests of the reference libraries (`libraries/` of the specification's repository).
        let secret = PushSecret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        assert_eq!(
            signatures(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn each_secret_signs_for_itself() {
        let secrets = [24, 25].map(|bytes| {
            let text = format!("{SECRET_PREFIX}{}", STANDARD.encode(vec![255; bytes]));
            PushSecret::new(&text).unwrap()
        });
        let [one, other] = [0, 1].map(|index| signatures(&secrets[index..=index], "id", 7, b"body"));
        assert_ne!(one, other);
        assert_eq!(signatures(&secrets, "id", 7, b"body"), format!("{one} {other}"));
    }

    #[test]
    fn a_secret_is_24_to_64_bytes_in_base64() {
        let encoded = |bytes: usize| format!("{SECRET_PREFIX}{}", STANDARD.encode(vec![255; bytes]));
        for text in [encoded(24), encoded(25), encoded(64), format!(" {}\n", encoded(32))] {
            assert!(PushSecret::new(&text).is_some(), "{text}");
        }
        for text in [
            "",
            SECRET_PREFIX,
            &encoded(23),
            &encoded(65),
            &encoded(24)[SECRET_PREFIX.len()..],
            &encoded(24).replace('/', "_"),
            &encoded(25).replace('=', ""),
            &encoded(24).replacen('/', " ", 1),
            &encoded(24).replace(SECRET_PREFIX, "whsk_"),
        ] {
            assert!(PushSecret::new(text).is_none(), "{text}");
        }
    }

    #[test]
    fn debug_prints_no_secret() {
        let secret = PushSecret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(format!("{secret:?}"), "PushSecret(…)");
    }
}
