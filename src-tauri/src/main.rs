//! `foreman-app`: the window. Everything is in the library, which phones load without this program.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

fn main() {
    foreman_app::run();
}
