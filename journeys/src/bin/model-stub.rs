//! The stubs of model vendors as a program, for tests and measurements outside Rust: prints where it listens and has the
//! models that it was given as arguments. After `--ollama` it is an Ollama, which is told what to do over HTTP.

use journeys::{
    models::Models,
    ollama::{Model, Ollama},
};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    let ollama = arguments.next_if(|first| first == "--ollama").is_some();
    let models: Vec<String> = arguments.collect();
    let _running = if ollama { Some(serve_ollama(&models).await) } else { serve_vendor(&models).await };
    // Ends with whoever started it.
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line).is_ok_and(|read| read > 0) {
        line.clear();
    }
}

/// Listens until the program ends.
async fn serve_vendor(models: &[String]) -> Option<Ollama> {
    let models: Vec<&str> = models.iter().map(String::as_str).collect();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let stub = Models::serve(listener, &models);
    stub.forget();
    println!("listening on {}", stub.base());
    None
}

/// Holds nothing until it is told to.
async fn serve_ollama(models: &[String]) -> Ollama {
    let ollama = Ollama::start().await;
    for model in models {
        ollama.add(model, Model::with(&["completion", "tools", "vision"]));
    }
    if let Some(first) = models.first() {
        ollama.load(first);
    }
    ollama.let_all_happen();
    println!("listening on http://{}", ollama.host);
    ollama
}
