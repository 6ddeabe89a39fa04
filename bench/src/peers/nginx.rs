//! nginx as people put it in front of a model's API: kept connections, nothing buffered, no log.

use journeys::{program::Program, stack::Folder};
use tokio::process::Command;

use super::{find, free_port, start};

/// A proxy to `upstream`, `http://host:port`; its address.
pub async fn proxy(folder: &Folder, upstream: &str) -> Result<(Program, String), String> {
    let nginx = find(&["nginx"]).or_else(|missing| match std::path::Path::new("/usr/sbin/nginx") {
        debian if debian.is_file() => Ok(debian.to_owned()),
        _ => Err(missing),
    })?;
    let (port, home) = (free_port(), folder.join("nginx"));
    std::fs::create_dir_all(&home).map_err(|error| error.to_string())?;
    let upstream = upstream.trim_start_matches("http://").trim_end_matches('/');
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", home.display()))
        .collect();
    let settings = format!(
        "daemon off; worker_processes 2; pid {home}/pid; error_log stderr crit;\n\
         events {{ worker_connections 8192; }}\n\
         http {{ access_log off; {temporary}\
         upstream model {{ server {upstream}; keepalive 256; }}\n\
         server {{ listen 127.0.0.1:{port}; keepalive_requests 10000000; location / {{\n\
         proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
         proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 600s; }} }} }}\n",
        home = home.display(),
    );
    let file = home.join("nginx.conf");
    std::fs::write(&file, settings).map_err(|error| error.to_string())?;
    let mut command = Command::new(nginx);
    command.arg("-c").arg(&file).arg("-e").arg("stderr");
    Ok((start("nginx", command, port).await?, format!("http://127.0.0.1:{port}")))
}
