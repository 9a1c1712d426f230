//! What to do about an error of AWS.

use midihook::aws::Reason;

/// What to do about an error of AWS.
pub fn advice(error: &anyhow::Error) -> Option<&'static str> {
    let call = call(error)?;
    if call.is_about_credentials() {
        return Some(
            "Log in (for SSO: aws sso login), or name a profile with --profile; --help says where credentials come from.",
        );
    }
    call.is_transient().then_some("Trying again may help.")
}

/// Whether the same command may succeed later by itself.
pub fn is_transient(error: &anyhow::Error) -> bool {
    call(error).is_some_and(Reason::is_transient)
}

fn call(error: &anyhow::Error) -> Option<&Reason> {
    error.chain().find_map(|cause| cause.downcast_ref())
}
