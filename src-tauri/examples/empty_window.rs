//! A window of Tauri's with one character in it: what the app's first paint is measured beside (`./dev bench app`).

use tauri::{WebviewUrl, WebviewWindowBuilder, http::Response};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tauri::Builder::default()
        .register_uri_scheme_protocol("empty", |_context, _request| {
            let page = b"<!doctype html><p>.".to_vec();
            Response::builder().header("content-type", "text/html").body(page).unwrap_or_default()
        })
        .setup(|app| {
            let page = WebviewUrl::CustomProtocol("empty://localhost/".parse()?);
            WebviewWindowBuilder::new(app, "main", page).inner_size(1_180.0, 800.0).build()?;
            Ok(())
        })
        .run(tauri::generate_context!())?;
    Ok(())
}
