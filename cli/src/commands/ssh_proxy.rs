//! `foreman ssh-proxy`: ssh's ProxyCommand over the link.

use anyhow::Result;
use clap::Args;
use tokio::io::{AsyncWriteExt, copy, split};

use crate::context::Context;

const AFTER: &str = "\
In ~/.ssh/config, for `ssh anvil.foreman`:

    Host *.foreman
        ProxyCommand foreman ssh-proxy $(basename %h .foreman) %p";

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Options {
    /// Its name, or the beginning of its id.
    device: String,
    /// Where its ssh server listens.
    #[arg(default_value_t = 22)]
    port: u16,
}

pub async fn run(context: &Context, options: Options) -> Result<()> {
    let device = context.open(&options.device).await?;
    let (mut from_device, mut to_device) = split(device.forward(None, options.port).await?);
    let upward = async {
        copy(&mut tokio::io::stdin(), &mut to_device).await?;
        to_device.shutdown().await
    };
    let downward = async {
        let mut out = tokio::io::stdout();
        copy(&mut from_device, &mut out).await?;
        out.flush().await
    };
    // What the device says last is the end: nobody reads what would still be sent to it.
    let mut upward = std::pin::pin!(upward);
    let mut downward = std::pin::pin!(downward);
    tokio::select! {
        done = &mut downward => done?,
        sent = &mut upward => {
            // Also when nothing more can be sent, what the device said before is passed on.
            let heard = downward.await;
            sent.and(heard)?;
        }
    }
    Ok(())
}
