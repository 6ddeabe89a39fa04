//! Nothing lost: the real server and the real agent through everything that goes wrong.
//!
//! `FOREMAN_LONG=1` runs the long mode: 200 rounds of kills, 10 GB of output. `FOREMAN_PROGRAMS` names the folder of
//! the programs under test; without it they are built first.

mod acknowledged;
mod backup;
mod bodies;
mod chats;
mod cli;
mod clock;
mod crossing;
mod cut;
mod full_disk;
mod holes;
mod input;
mod kills;
mod large;
mod link;
mod namespaces;
mod providers;
mod push;
mod racing;
mod replicas;
mod resume;
mod router;
mod secrets;
mod sign_in;
mod ssh;
mod tunnels;
mod warnings;

use journeys::tls;

/// Makes one test for each database out of a function that takes one.
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(journeys::database::Database::Sqlite).await;
            }
        )+}
        mod postgresql {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(journeys::database::Database::postgresql()).await;
            }
        )+}
    };
}
pub(crate) use on_both_databases;
