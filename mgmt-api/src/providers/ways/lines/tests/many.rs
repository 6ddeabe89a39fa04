//! Connections that carry many requests.

use super::*;

/// The other end of a connection for many, that takes as many requests at a time as most do.
async fn far_for_many(far: DuplexStream) -> h2::server::Connection<DuplexStream, Bytes> {
    h2::server::Builder::new().max_concurrent_streams(100).handshake(far).await.unwrap()
}

fn answer(mut respond: h2::server::SendResponse<Bytes>) {
    respond.send_response(Response::new(()), false).unwrap().send_data("hi".into(), true).unwrap();
}

#[tokio::test]
async fn one_connection_carries_many_requests_where_both_ends_can() {
    let (lines, mut opened) = lines(true);
    let first = ask(&lines);
    let mut far = h2::server::handshake(opened.recv().await.unwrap()).await.unwrap();
    let (asked, respond) = far.accept().await.unwrap().unwrap();
    assert_eq!(asked.uri(), "http://models.test:8000/v1/models");
    assert!(!asked.headers().contains_key(header::HOST));
    answer(respond);
    let driving = tokio::spawn(async move {
        let mut waiting = Vec::new();
        // Both are there before either is answered.
        while waiting.len() < 2 {
            waiting.push(far.accept().await.unwrap().unwrap().1);
        }
        waiting.into_iter().for_each(answer);
        far.graceful_shutdown();
        while let Some(Ok(_)) = far.accept().await {}
    });
    assert_eq!(first.await.unwrap(), "hi");
    let (second, third) = (ask(&lines), ask(&lines));
    assert_eq!((second.await.unwrap(), third.await.unwrap()), ("hi".into(), "hi".into()));
    assert!(opened.is_empty());
    driving.await.unwrap();
    // It was closed in good order: the next request has a connection of its own.
    let fourth = ask(&lines);
    let mut far = h2::server::handshake(opened.recv().await.unwrap()).await.unwrap();
    answer(far.accept().await.unwrap().unwrap().1);
    let driving = tokio::spawn(async move { while let Some(Ok(_)) = far.accept().await {} });
    assert_eq!(fourth.await.unwrap(), "hi");
    driving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_connection_for_many_on_which_nobody_answers_any_more_is_given_up() {
    let (lines, mut opened) = lines(true);
    let lost = send(&lines, request());
    let mut dead = far_for_many(opened.recv().await.unwrap()).await;
    let asked = dead.accept().await.unwrap().unwrap();
    // From here on that end says nothing more, and does not close either.
    assert!(soon(lost).await.unwrap().is_err());
    let asked_again = ask(&lines);
    let mut far = far_for_many(soon(opened.recv()).await.unwrap()).await;
    let (_, respond) = far.accept().await.unwrap().unwrap();
    answer(respond);
    let driving = tokio::spawn(async move { while let Some(Ok(_)) = far.accept().await {} });
    assert_eq!(soon(asked_again).await.unwrap(), "hi");
    driving.abort();
    drop((dead, asked));
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_take_longer_than_a_connection_for_many_is_kept() {
    let (lines, mut opened) = lines(true);
    let asked = ask(&lines);
    let mut far = far_for_many(opened.recv().await.unwrap()).await;
    let (_, respond) = far.accept().await.unwrap().unwrap();
    let driving = tokio::spawn(async move { while let Some(Ok(_)) = far.accept().await {} });
    tokio::time::sleep(Duration::from_secs(250)).await;
    answer(respond);
    assert_eq!(soon(asked).await.unwrap(), "hi");
    // Nobody asked meanwhile: it is closed.
    soon(driving).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn more_requests_than_a_connection_carries_have_another() {
    let (lines, mut opened) = lines(true);
    let mut asked = vec![ask(&lines)];
    let mut far = far_for_many(opened.recv().await.unwrap()).await;
    let mut waiting = vec![far.accept().await.unwrap().unwrap().1];
    for _ in 1..100 {
        asked.push(ask(&lines));
        waiting.push(far.accept().await.unwrap().unwrap().1);
    }
    assert!(opened.is_empty());
    let driving = tokio::spawn(async move { while let Some(Ok(_)) = far.accept().await {} });
    asked.push(ask(&lines));
    let mut second = far_for_many(soon(opened.recv()).await.unwrap()).await;
    waiting.push(second.accept().await.unwrap().unwrap().1);
    let driving_second = tokio::spawn(async move { while let Some(Ok(_)) = second.accept().await {} });
    waiting.into_iter().for_each(answer);
    for asked in asked {
        assert_eq!(soon(asked).await.unwrap(), "hi");
    }
    assert!(opened.is_empty());
    driving.abort();
    driving_second.abort();
}

#[tokio::test(start_paused = true)]
async fn answers_that_nobody_reads_leave_room_for_others() {
    let (lines, mut opened) = lines(true);
    let first = send(&lines, request());
    let mut far = far_for_many(opened.recv().await.unwrap()).await;
    let (fed, mut respond) = tokio::sync::mpsc::unbounded_channel();
    fed.send(far.accept().await.unwrap().unwrap().1).unwrap();
    let driving = tokio::spawn(async move {
        while let Some(Ok((_, respond))) = far.accept().await {
            fed.send(respond).unwrap();
        }
    });
    let long = |mut respond: h2::server::SendResponse<Bytes>| {
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(vec![b'x'; 4 * 1024 * 1024].into(), true).unwrap();
    };
    long(respond.recv().await.unwrap());
    let mut unread = vec![first.await.unwrap().unwrap()];
    for _ in 0..4 {
        let asked = send(&lines, request());
        long(respond.recv().await.unwrap());
        unread.push(asked.await.unwrap().unwrap());
    }
    // As much as is taken without being read has come.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = ask(&lines);
    let other = respond.recv().await.unwrap();
    answer(other);
    assert_eq!(soon(asked).await.unwrap(), "hi");
    // And what was not read is all there.
    for unread in unread {
        assert_eq!(soon(unread.into_body().collect()).await.unwrap().to_bytes().len(), 4 * 1024 * 1024);
    }
    driving.abort();
}
