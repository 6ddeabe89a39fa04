//! Whoever asked goes away: nothing goes on for nobody.

use journeys::{database::Database, eventually, models::Behaviour};
use reqwest::Method;
use serde_json::json;

use super::{CLAUDE, GPT, Patience, chat, message, scene_with, until};

async fn who_goes_away_ends_the_request_upstream(database: Database) {
    let scene = scene_with(database, Patience::LONG).await;
    scene.openai.behave(Behaviour::Hang);
    let answer = scene.stream(&scene.owner, "/v1/chat/completions", &chat(GPT, true)).await;
    let mut events = Box::pin(answer.bytes_stream());
    until(&mut events, "good").await;
    drop(events);
    scene.openai.cancelled(1).await;
    // While it waits for the first token, too.
    scene.openai.behave(Behaviour::Silent);
    let waiting = scene.request(Method::POST, "/v1/chat/completions", &scene.owner).json(&chat(GPT, true));
    let waiting = tokio::spawn(waiting.send());
    eventually("it is asked", || async { (scene.openai.count() == 2).then_some(()) }).await;
    waiting.abort();
    scene.openai.cancelled(2).await;
    assert_eq!(scene.ended(2, "cancelled").await, 2);
}

async fn who_waits_for_a_whole_answer_and_goes_away_ends_it_too(database: Database) {
    let scene = scene_with(database, Patience::LONG).await;
    // Somebody would be next.
    scene.auto_tries(&[&format!("openai/{GPT}"), &format!("anthropic/{CLAUDE}")]).await;
    let (completions, messages) = ("/v1/chat/completions", "/v1/messages");
    let vectors = json!({ "model": "text-embedding-3-small", "input": "good morning" });
    for (vendor, gone, behaviour, path, body) in [
        // Each format's own, and translated; before anything came, and in the middle of it.
        (&scene.openai, 1, Behaviour::Silent, completions, chat("auto", false)),
        (&scene.openai, 2, Behaviour::Hang, completions, chat("auto", false)),
        (&scene.openai, 3, Behaviour::Silent, messages, message("auto", false)),
        (&scene.openai, 4, Behaviour::Hang, messages, message("auto", false)),
        (&scene.openai, 5, Behaviour::Silent, "/v1/embeddings", vectors),
        (&scene.anthropic, 1, Behaviour::Silent, messages, message(CLAUDE, false)),
        (&scene.anthropic, 2, Behaviour::Hang, messages, message(CLAUDE, false)),
        (&scene.anthropic, 3, Behaviour::Silent, completions, chat(CLAUDE, false)),
        (&scene.anthropic, 4, Behaviour::Hang, completions, chat(CLAUDE, false)),
    ] {
        vendor.once(behaviour);
        let waiting = tokio::spawn(scene.request(Method::POST, path, &scene.owner).json(&body).send());
        eventually("it is asked", || async { (vendor.count() == gone).then_some(()) }).await;
        waiting.abort();
        vendor.cancelled(gone).await;
    }
    assert_eq!(scene.ended(9, "cancelled").await, 9);
    assert_eq!((scene.openai.count(), scene.anthropic.count()), (5, 4), "nobody else was asked");
    // Going away says nothing against a provider.
    assert_eq!(scene.chat("auto").await.header("x-foreman-provider"), "openai");
}

crate::on_both_databases!(
    who_goes_away_ends_the_request_upstream,
    who_waits_for_a_whole_answer_and_goes_away_ends_it_too,
);
