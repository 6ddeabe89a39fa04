//! Limits on what callers may send, checked at the edge.

use crate::problem::{ApiError, ApiResult};

/// A JSON body, unless a route says otherwise.
pub const BODY_BYTES: usize = 256 * 1024;
/// One piece of task output.
pub const OUTPUT_BYTES: usize = 256 * 1024;
/// Commands a device may have waiting.
pub const WAITING_COMMANDS: i64 = 1_000;

/// A name for people: 1 to 64 characters, no control characters, trimmed.
pub fn name(field: &str, text: &str) -> ApiResult<String> {
    let text = text.trim();
    let length = text.chars().count();
    if !(1..=64).contains(&length) || text.chars().any(char::is_control) {
        return Err(ApiError::invalid(field, "A name has 1 to 64 characters and no line breaks."));
    }
    Ok(text.to_owned())
}

/// Text of bounded length without NUL, which neither a database nor a program argument can hold.
pub fn text(field: &str, text: &str, most_bytes: usize) -> ApiResult<()> {
    if text.len() > most_bytes {
        return Err(ApiError::invalid(field, format!("This is longer than {most_bytes} bytes.")));
    }
    if text.contains('\0') {
        return Err(ApiError::invalid(field, "This contains a zero byte."));
    }
    Ok(())
}

/// A new password.
pub fn password(field: &str, password: &str) -> ApiResult<()> {
    if (10..=256).contains(&password.chars().count()) {
        return Ok(());
    }
    Err(ApiError::invalid(field, "A password has 10 to 256 characters."))
}
