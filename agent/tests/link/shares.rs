//! Places on the device that all callers share, and what one of them can take.

use foreman_link::{channel::ConnectError, grant::LinkSecret, h2::Body};
use foreman_protocol::{Level, ProblemCode, RefusedBecause};

use crate::house::{House, hello, problem, send};

#[tokio::test]
async fn who_may_only_look_takes_half_of_the_links_and_is_told_so() {
    let house = House::new(&[]).await;
    let looking = LinkSecret::generate();
    let signed = house.signed(&looking, Level::View);
    let mut open = Vec::new();
    for _ in 0..128 {
        open.push(house.call(&looking, &signed).await.unwrap());
    }
    let full = |called: Result<_, ConnectError>| {
        matches!(called.map(drop), Err(ConnectError::Refused(RefusedBecause::TooManyLinks)))
    };
    // Nor does that shut out the address, which is everybody's here.
    for _ in 0..11 {
        assert!(full(house.call(&looking, &signed).await));
    }
    let other = house.caller(Level::View).await;
    assert_eq!(hello(&other).await.level, Level::View);

    // Who may do everything takes the rest.
    let owner = LinkSecret::generate();
    let signed = house.signed(&owner, Level::Admin);
    for _ in 0..127 {
        open.push(house.call(&owner, &signed).await.unwrap());
    }
    assert!(full(house.call(&owner, &signed).await), "256 are open");
    drop(open.pop());
    drop(other);
    let again = async { while full(house.call(&owner, &signed).await) {} };
    tokio::time::timeout(crate::house::PATIENCE, again).await.expect("a place is given back");
}

#[tokio::test]
async fn who_may_only_look_reads_half_of_the_logs_and_is_told_so() {
    let house = House::new(&["--allow", "read,logs"]).await;
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("app.log");
    std::fs::write(&log, "one\n").unwrap();
    let path = format!("/logs/stream?source=file:{}", log.display());
    let clients = [house.caller(Level::View).await, house.caller(Level::View).await];
    let admin = house.caller(Level::Admin).await;
    let mut read = Vec::new();
    for client in &clients {
        for _ in 0..32 {
            let stream = send(client, "GET", &path, Body::empty()).await;
            assert_eq!(stream.status(), 200);
            read.push(stream);
        }
        let refused = problem(client, "GET", &path).await;
        assert_eq!(refused.code, ProblemCode::LimitReached, "{refused:?}");
        assert!(refused.message.starts_with("You read 32 logs of this device already"), "{refused:?}");
    }
    let refused = problem(&admin, "GET", &path).await;
    assert_eq!(refused.code, ProblemCode::Unavailable, "{refused:?}");
}
