//! `foreman cp`: files and trees to and from a device. What was copied of an interrupted file is gone on with.

mod down;
mod mode;
mod name;
pub mod place;
mod progress;
mod up;

use anyhow::{Result, bail};
use clap::Args;

use crate::context::Context;
use place::Place;
use progress::Progress;

#[derive(Debug, Args)]
pub struct Options {
    /// Sources, then where to: `DEVICE:path` on one side.
    #[arg(required = true, num_args = 2.., value_name = "PLACE")]
    places: Vec<String>,
    /// Directories with all that is in them.
    #[arg(short, long, env = "FOREMAN_CP_RECURSIVE")]
    recursive: bool,
    /// Put files in the place of those that are there; on a device those go to its trash.
    #[arg(short, long, env = "FOREMAN_CP_FORCE")]
    force: bool,
}

/// How to copy.
#[derive(Clone, Copy)]
struct How {
    recursive: bool,
    force: bool,
}

pub async fn run(context: &Context, options: Options) -> Result<()> {
    let how = How { recursive: options.recursive, force: options.force };
    let places: Vec<Place> = options.places.iter().map(|place| Place::parse(place)).collect();
    let Some((to, from)) = places.split_last() else { bail!("Say from where and to where") };
    let progress = Progress::new();
    match to {
        Place::Remote { device, path } => {
            let device = context.open(device).await?;
            for source in from {
                let Place::Local(source) = source else {
                    bail!("From device to device goes in two steps: to here, from here")
                };
                up::copy(context, &device, source, path, from.len() > 1, how, &progress).await?;
            }
        }
        Place::Local(target) => {
            for source in from {
                let Place::Remote { device, path } = source else { bail!("One side has to be DEVICE:path") };
                let device = context.open(device).await?;
                down::copy(&device, path, target, from.len() > 1, how, &progress).await?;
            }
        }
    }
    Ok(())
}
