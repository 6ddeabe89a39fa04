//! The event stream never skips and never repeats: many readers that come and go, under load, across restarts.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use foreman_client::{Foreman, LiveUpdate};
use foreman_protocol::UpdateDevice;
use futures_util::{StreamExt, stream};
use journeys::{
    database::Database,
    long, soon,
    stack::{Folder, Server, Setting, new_device},
};
use rand::RngExt;
use tokio::task::JoinHandle;

/// Renames devices as fast as it can, through restarts, until told to stop.
fn load(foreman: Foreman, stop: Arc<AtomicBool>) -> JoinHandle<usize> {
    tokio::spawn(async move {
        let mut changes = 0;
        let device = new_device(&foreman, "busy").await.device.id;
        while !stop.load(SeqCst) {
            let name = format!("busy {changes}");
            let change = UpdateDevice { name: Some(name), device_type: None };
            match foreman.update_device(device, &change).await {
                Ok(_) => changes += 1,
                Err(_) => tokio::task::yield_now().await,
            }
        }
        changes
    })
}

/// Reads the log from its beginning, hanging up at random places and resuming where it stood; returns how far.
async fn read(foreman: Foreman, mut end: tokio::sync::watch::Receiver<Option<i64>>) -> usize {
    let (mut cursor, mut hang_ups) = (0, 0);
    loop {
        let mut events = foreman.events(Some(cursor));
        let patience = rand::rng().random_range(1..60);
        let mut seen = 0;
        while seen < patience {
            if end.borrow().is_some_and(|end| end <= cursor) {
                assert_eq!(Some(cursor), *end.borrow(), "more events than there are");
                return hang_ups;
            }
            tokio::select! {
                update = events.next() => match update {
                    LiveUpdate::Event(record) => {
                        assert_eq!(record.cursor, cursor + 1, "skipped or repeated");
                        cursor = record.cursor;
                        seen += 1;
                    }
                    LiveUpdate::Reset(ready) => panic!("the log is kept: {ready:?}"),
                    _ => {}
                },
                changed = end.changed() => changed.expect("the test tells the end"),
            }
        }
        hang_ups += 1;
    }
}

async fn no_reader_misses_or_repeats_an_event(database: Database) {
    let folder = Folder::new();
    let mut server = Server::start(folder.join("server"), Setting::on(database)).await;
    let (foreman, _) = server.client("owner").await;
    let (tell_end, end) = tokio::sync::watch::channel(None);
    let readers: Vec<_> = (0..8).map(|_| tokio::spawn(read(foreman.clone(), end.clone()))).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4).map(|_| load(foreman.clone(), stop.clone())).collect();
    for turn in 0..if long() { 40 } else { 4 } {
        // Some load between the restarts: this many more events, seen on the stream.
        let mut events = foreman.events(None);
        let mut seen = 0;
        let wait = async {
            while seen < 150 {
                seen += usize::from(matches!(events.next().await, LiveUpdate::Event(_)));
            }
        };
        soon("events under load", wait).await;
        if turn % 2 == 0 {
            server.program.kill().await;
        } else {
            server.program.stop().await;
        }
        server.start_again().await;
    }
    stop.store(true, SeqCst);
    let changes: usize = stream::iter(writers)
        .then(|writer| async { writer.await.expect("it ends") })
        .fold(0, |a, b| async move { a + b })
        .await;
    assert!(changes > 100, "there was load: {changes}");
    let verified = foreman.verify_audit().await.expect("the log can be checked");
    assert!(verified.intact, "{verified:?}");
    tell_end.send_replace(Some(i64::try_from(verified.checked).expect("few")));
    for reader in readers {
        let hang_ups = soon("a reader at the end", reader).await.expect("every event once and in order");
        assert!(hang_ups > 0);
    }
}

async fn a_place_that_is_not_in_the_log_is_told(database: Database) {
    let folder = Folder::new();
    let server = Server::start(folder.join("server"), Setting::on(database)).await;
    let (foreman, _) = server.client("owner").await;
    new_device(&foreman, "one").await;
    let mut events = foreman.events(Some(1_000_000));
    let first = soon("what the stream says first", async {
        loop {
            match events.next().await {
                LiveUpdate::Lost { .. } => {}
                other => return other,
            }
        }
    })
    .await;
    assert!(matches!(&first, LiveUpdate::Reset(ready) if ready.cursor < 1_000_000), "{first:?}");
}

super::on_both_databases!(no_reader_misses_or_repeats_an_event, a_place_that_is_not_in_the_log_is_told);
