//! `foreman cat`.

use anyhow::Result;
use clap::Args;
use foreman_client::device::Transfer;

use super::cp::place::Place;
use crate::{context::Context, output::note};

#[derive(Debug, Args)]
pub struct Options {
    /// `DEVICE:path`
    #[arg(required = true)]
    files: Vec<String>,
}

pub async fn run(context: &Context, options: Options) -> Result<()> {
    for file in &options.files {
        let place = Place::parse(file);
        let (device, path) = place.remote(file)?;
        let device = context.open(device).await?;
        let path = super::cp::place::absolute(&device, path).await?;
        let tell = |step: Transfer<'_>| {
            if let Transfer::Lost(error) = step {
                note(format!("{error}; going on where it stood"));
            }
        };
        device.download(&path, 0, None, &mut tokio::io::stdout(), tell).await?;
    }
    Ok(())
}
