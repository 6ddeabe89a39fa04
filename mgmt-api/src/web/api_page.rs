//! The API description as a page for people: no script, nothing loaded from elsewhere.

use std::fmt::Write;

use serde_json::Value;
use utoipa::openapi::OpenApi;

/// Renders the description, grouped by tag.
pub fn api_page(description: &OpenApi) -> String {
    let api = serde_json::to_value(description).unwrap_or_default();
    let mut groups: std::collections::BTreeMap<String, String> = Default::default();
    for (path, methods) in entries(&api["paths"]) {
        for (method, operation) in entries(methods) {
            let tag = operation["tags"][0].as_str().unwrap_or("other").to_owned();
            operation_html(groups.entry(tag).or_default(), method, path, operation);
        }
    }
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>Foreman API</title><link rel=\"stylesheet\" \
         href=\"/api-page.css\"><main><h1>Foreman API <small>{}</small></h1><p>{}</p><p>The same as data: \
         <a href=\"/api/openapi.json\">openapi.json</a>. Programs send <code>Authorization: Bearer …</code>.</p>",
        escape(api["info"]["version"].as_str().unwrap_or_default()),
        escape(api["info"]["description"].as_str().unwrap_or_default()),
    );
    for (tag, operations) in groups {
        let _ = write!(html, "<section><h2>{}</h2>{operations}</section>", escape(&tag));
    }
    let _ = write!(html, "<section><h2>types</h2>");
    for (name, schema) in entries(&api["components"]["schemas"]) {
        schema_html(&mut html, name, schema);
    }
    html.push_str("</section></main></html>");
    html
}

fn operation_html(html: &mut String, method: &str, path: &str, operation: &Value) {
    let _ = write!(
        html,
        "<article><h3><code>{} {}</code></h3><p>{}</p>",
        escape(&method.to_uppercase()),
        escape(path),
        escape(operation["summary"].as_str().unwrap_or_default()),
    );
    if let Some(more) = operation["description"].as_str() {
        let _ = write!(html, "<p>{}</p>", escape(more));
    }
    let list = |values: &Value| values.as_array().cloned().unwrap_or_default();
    for parameter in list(&operation["parameters"]) {
        let _ = write!(
            html,
            "<p><code>{}</code> in {}: {}</p>",
            escape(parameter["name"].as_str().unwrap_or_default()),
            escape(parameter["in"].as_str().unwrap_or_default()),
            escape(parameter["description"].as_str().unwrap_or_default()),
        );
    }
    if let Some(name) = type_name(&operation["requestBody"]["content"]) {
        let _ = write!(html, "<p>Sends {}</p>", link(&name));
    }
    for (status, response) in entries(&operation["responses"]) {
        let name = type_name(&response["content"]);
        let _ = write!(
            html,
            "<p>Answers {} {}</p>",
            escape(status),
            name.map(|name| link(&name)).unwrap_or_default()
        );
    }
    html.push_str("</article>");
}

fn schema_html(html: &mut String, name: &str, schema: &Value) {
    let _ = write!(
        html,
        "<article id=\"{0}\"><h3><code>{0}</code></h3><p>{1}</p>",
        escape(name),
        escape(schema["description"].as_str().unwrap_or_default()),
    );
    for (field, value) in entries(&schema["properties"]) {
        let _ = write!(
            html,
            "<p><code>{}</code> {}</p>",
            escape(field),
            escape(value["description"].as_str().unwrap_or_default())
        );
    }
    html.push_str("</article>");
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn type_name(content: &Value) -> Option<String> {
    let (_, media) = entries(content).next()?;
    let reference = media["schema"]["$ref"].as_str()?;
    reference.rsplit('/').next().map(str::to_owned)
}

fn link(name: &str) -> String {
    format!("<a href=\"#{0}\"><code>{0}</code></a>", escape(name))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
