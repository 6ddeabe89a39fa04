//! The stubs of model vendors as a program, for tests and measurements outside Rust: prints where it listens and has the
//! models that it was given as arguments. After `--ollama` it is an Ollama, which is told what to do over HTTP;
//! `name=bytes` is a model of that size. After `--for HOST ROOT KEY` it is the vendor at that name, for whoever shows the
//! key: it prints a proxy that leads there, and the root that vouches for it is written to that file.

use std::path::Path;

use journeys::{
    models::Models,
    ollama::{Model, Ollama},
    proxy::{Passed, Proxy},
    tls,
};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    let ollama = arguments.next_if(|first| first == "--ollama").is_some();
    let named = arguments.next_if(|first| first == "--for").is_some();
    let models: Vec<String> = arguments.collect();
    let _running = match (ollama, named) {
        (true, _) => Some(serve_ollama(&models).await),
        (_, true) => serve_named(&models).await,
        _ => serve_vendor(&models).await,
    };
    // Ends with whoever started it.
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line).is_ok_and(|read| read > 0) {
        line.clear();
    }
}

/// Listens until the program ends.
async fn serve_vendor(models: &[String]) -> Option<Ollama> {
    let models: Vec<&str> = models.iter().map(String::as_str).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let stub = Models::serve(listener, &models);
    stub.forget();
    println!("listening on {}", stub.base());
    None
}

/// The same, found by its name.
async fn serve_named(arguments: &[String]) -> Option<Ollama> {
    let [host, root, key, models @ ..] = arguments else { panic!("--for HOST ROOT KEY") };
    let models: Vec<&str> = models.iter().map(String::as_str).collect();
    let stub = Models::start(&models).await;
    stub.want_key(key);
    let behind = tls::terminate(&[host], Path::new(root), stub.place()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("listening on http://{}", listener.local_addr().expect("bound"));
    let proxy = Proxy::new(Passed::default()).leading(&format!("{host}:443"), &behind.to_string());
    tokio::spawn(proxy.serve(listener));
    None
}

/// Holds nothing until it is told to.
async fn serve_ollama(models: &[String]) -> Ollama {
    let ollama = Ollama::start().await;
    for (nth, model) in models.iter().enumerate() {
        let usual = Model::with(&["completion", "tools", "vision"]);
        let (name, size) = match model.split_once('=') {
            Some((name, size)) => (name, size.parse().expect("a size in bytes")),
            None => (model.as_str(), usual.size),
        };
        ollama.add(name, Model { size, ..usual });
        if nth == 0 {
            ollama.load(name);
        }
    }
    ollama.let_all_happen();
    println!("listening on http://{}", ollama.host);
    ollama
}
