//! Keys and profiles name providers. When one is renamed, what people wrote follows it; when one is removed, whoever
//! gets its name next gets none of the rights that were given for it.

use super::{keys, profiles};
use crate::{db::Tx, events::Cause, problem::ApiResult};

/// Carries keys and profiles along with a provider's new name.
///
/// # Errors
/// When the database cannot be written.
pub async fn renamed(tx: &mut Tx, cause: &Cause, from: &str, to: &str) -> ApiResult<()> {
    keys::rename(tx, cause, from, to).await?;
    profiles::rename(tx, cause, from, to).await
}

/// Keys keep what they were for, under a name that no provider can have: an empty list would be for everything. What
/// profiles list is no right, and stays for a provider that comes back.
///
/// # Errors
/// When the database cannot be written.
pub async fn removed(tx: &mut Tx, cause: &Cause, name: &str) -> ApiResult<()> {
    keys::rename(tx, cause, name, &format!("{name} (removed)")).await
}

/// `provider/model` patterns with the provider's other name; `None` when none has it.
pub(super) fn carried(patterns: &[String], from: &str, to: &str) -> Option<Vec<String>> {
    let mut changed = false;
    let carried = patterns.iter().map(|pattern| match pattern.split_once('/') {
        Some((of, model)) if of == from => {
            changed = true;
            format!("{to}/{model}")
        }
        _ => pattern.clone(),
    });
    let carried = carried.collect();
    changed.then_some(carried)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_of_the_provider_is_carried_along() {
        let patterns = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        let some = patterns(&["home/llama3.2", "home/*", "home-2/*", "auto:private", "router/home/x"]);
        let carried = carried(&some, "home", "attic").unwrap();
        assert_eq!(
            carried,
            patterns(&["attic/llama3.2", "attic/*", "home-2/*", "auto:private", "router/home/x"])
        );
        assert_eq!(super::carried(&some, "openai", "o"), None);
    }
}
