//! A program that another one starts and that is to end with it.

use std::io;

/// Calls `then` once standard input has ended: whoever holds its other end asked for that, or is no more. Systems without signals
/// have no other request that a program without a window hears.
pub fn when_input_ends(then: impl FnOnce() + Send + 'static) {
    // A thread that nobody waits for: reading may last as long as the program.
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        then();
    });
}
