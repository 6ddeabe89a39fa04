//! What one device may not do to another, and what a user's token may not do as a device.

use foreman_link::http::{self, RequestError};
use foreman_protocol::{LocalTask, Reports, Role, Sample, TaskCommand, TaskReport, TaskState};
use journeys::{
    database::Database,
    device::BareDevice,
    numbered,
    stack::{Folder, Server, Setting, new_device},
};
use reqwest::{Client, Method, RequestBuilder};

async fn status(request: RequestBuilder) -> u16 {
    match http::send(request).await {
        Ok(answer) => answer.status().as_u16(),
        Err(error @ RequestError::Refused { .. }) => error.status().expect("it was an answer"),
        Err(other) => panic!("every refusal is a problem: {other:?}"),
    }
}

/// Each thing an agent can ask for about the device `at`, as somebody.
fn device_requests(
    client: &Client,
    at: &BareDevice,
    task: &str,
    bearer: &str,
) -> Vec<(String, RequestBuilder)> {
    let report = Reports::default();
    let ask = |method: Method, path: String| {
        let request = client.request(method.clone(), at.address(&path)).bearer_auth(bearer);
        (format!("{method} {path}"), request)
    };
    let (heartbeat, request) = ask(Method::POST, "heartbeat".to_owned());
    let (reports, to_reports) = ask(Method::POST, "reports".to_owned());
    let (output, to_output) = ask(Method::PUT, format!("tasks/{task}/output?offset=0"));
    vec![
        (heartbeat, request.json(&Sample::default())),
        (reports, to_reports.json(&report)),
        (output, to_output.body("forged\n")),
        ask(Method::GET, "commands".to_owned()),
        ask(Method::POST, "disconnect".to_owned()),
    ]
}

async fn a_device_reaches_only_itself(database: Database) {
    let folder = Folder::new();
    let server = Server::start(folder.join("server"), Setting::on(database)).await;
    let (foreman, owner) = server.client("owner").await;
    let client = http::client().expect("a client");
    let one = BareDevice::join(&client, &server.url, &new_device(&foreman, "one").await.token).await;
    let two = BareDevice::join(&client, &server.url, &new_device(&foreman, "two").await.token).await;
    let task = foreman.start_task(one.id, &numbered::shell("echo mine")).await.expect("taken");
    let id = task.id.to_string();

    for (what, request) in device_requests(&client, &one, &id, &two.bearer) {
        let status = status(request).await;
        assert!([401, 403, 404].contains(&status), "device two, {what} of device one: {status}");
    }
    for (what, request) in device_requests(&client, &one, &id, &owner) {
        let status = status(request).await;
        assert!([401, 403].contains(&status), "the owner as device one, {what}: {status}");
    }
    for (what, request) in device_requests(&client, &one, &id, "nonsense") {
        assert_eq!(status(request).await, 401, "nobody, {what}");
    }

    // Its own path, another device's task.
    let forged = Reports {
        links: vec![],
        acknowledged: vec![],
        tasks: vec![TaskReport {
            task_id: task.id,
            state: TaskState::Failed,
            ago_ms: 0,
            exit_code: Some(1),
            signal: None,
            reason: None,
            output_total: Some(0),
        }],
        started: vec![LocalTask {
            id: task.id,
            command: TaskCommand::Shell { shell: "forged".to_owned() },
            cwd: None,
            env_names: vec![],
            timeout_s: None,
            by: "forged".to_owned(),
            ago_ms: 0,
        }],
    };
    status(two.request(Method::POST, "reports").json(&forged)).await;
    let output = two.request(Method::PUT, &format!("tasks/{id}/output?offset=0")).body("forged\n");
    assert_eq!(status(output).await, 404);
    let now = foreman.task(task.id).await.expect("it is there");
    assert_eq!((now.state, now.output_bytes), (TaskState::Queued, 0), "the other device changed nothing");

    // A device is not a user.
    for path in ["devices", "tasks", "audit", "tokens", "events", "server"] {
        let request = client.get(format!("{}/api/v1/{path}", server.url)).bearer_auth(&two.bearer);
        let status = status(request).await;
        assert!([401, 403].contains(&status), "a device reads {path}: {status}");
    }

    // What is deleted is gone at once, bearer and all.
    foreman.delete_device(two.id).await.expect("deleted");
    let gone = status(two.request(Method::POST, "heartbeat").json(&Sample::default())).await;
    assert!([401, 410].contains(&gone), "a deleted device speaks: {gone}");
}

/// What a role may do at most, tried with every role.
async fn each_role_does_what_it_may_and_no_more(database: Database) {
    let folder = Folder::new();
    let server = Server::start(folder.join("server"), Setting::on(database)).await;
    let (owner, _) = server.client("owner").await;
    let client = http::client().expect("a client");
    let device = BareDevice::join(&client, &server.url, &new_device(&owner, "one").await.token).await.id;
    for role in Role::ALL {
        let (foreman, _) = server.client(role.as_str()).await;
        let allowed = |least: Role, result: Result<(), RequestError>| match result {
            Ok(()) => assert!(role >= least, "{role:?} did what needs {least:?}"),
            Err(error) => {
                assert_eq!(error.status(), Some(403), "{error}");
                assert!(role < least, "{role:?} may not do what needs {least:?}: {error}");
            }
        };
        allowed(Role::Viewer, foreman.device(device).await.map(drop));
        allowed(Role::Operator, foreman.start_task(device, &numbered::shell("true")).await.map(drop));
        allowed(Role::Operator, foreman.stop_all_tasks(device).await.map(drop));
        allowed(Role::Admin, foreman.update_device(device, &Default::default()).await.map(drop));
        let token = foreman_protocol::CreateApiToken { name: "t".to_owned(), role: Role::Viewer };
        allowed(Role::Admin, foreman.create_token(&token).await.map(drop));
        let owners = foreman_protocol::CreateApiToken { name: "t".to_owned(), role: Role::Owner };
        allowed(Role::Owner, foreman.create_token(&owners).await.map(drop));
    }
}

super::on_both_databases!(a_device_reaches_only_itself, each_role_does_what_it_may_and_no_more);
