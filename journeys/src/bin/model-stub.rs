//! The stub of model vendors as a program, for tests and measurements outside Rust: prints where it listens and lists
//! the models that it was given as arguments.

use journeys::models::Models;

#[tokio::main]
async fn main() {
    let models: Vec<String> = std::env::args().skip(1).collect();
    let models: Vec<&str> = models.iter().map(String::as_str).collect();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let stub = Models::serve(listener, &models);
    stub.forget();
    println!("listening on {}", stub.base());
    // Ends with whoever started it.
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line).is_ok_and(|read| read > 0) {
        line.clear();
    }
}
