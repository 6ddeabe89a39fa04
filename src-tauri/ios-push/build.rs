//! Has Tauri build the Swift beside it, on a Mac. It has no commands: only the app's program asks it.

fn main() {
    tauri_plugin::Builder::new(&[]).ios_path("ios").build();
}
