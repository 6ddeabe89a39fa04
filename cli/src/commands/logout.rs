//! `foreman logout`: forgets the sign-in. Keys and devices stay.

use anyhow::Result;

use crate::{context::Context, output::say};

pub fn run(context: &Context) -> Result<()> {
    match context.store.sign_in()? {
        None => say("You were not signed in."),
        Some(kept) => {
            context.store.set_sign_in(None)?;
            say(format!(
                "Signed out of {}. Your keys and the devices you met stay here; the token itself is good until it is \
                 taken back in the dashboard.",
                kept.url
            ));
        }
    }
    Ok(())
}
