//! A program that another one starts ends in order when that one lets go of its input, however it does.

use journeys::{
    database::Database,
    program::{self, Program, Said},
    stack::{Folder, Setting, Stack},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_and_agent_end_in_order_with_their_input() {
    let mut stack = Stack::start(Setting::on(Database::Sqlite)).await;
    let log = stack.server.data.join("foreman.db-wal");
    stack.agent.program.stop().await;
    stack.server.program.kill().await;
    assert!(log.exists(), "a killed server leaves its database as it was, so that the rest proves something");

    let said = Said::default();
    let address = stack.server.url.trim_start_matches("http://");
    let mut command = program::command("foreman-server");
    command.args(["serve", "--end-with-input", "--listen", address, "--data"]).arg(&stack.server.data);
    let (mut server, servers_input) = Program::start_held("foreman-server", command, said.clone());
    server.line("listening on http://").await;

    let mut command = program::command("foreman-agent");
    command.env("FOREMAN_LINK_LISTEN", "127.0.0.1:0").env("FOREMAN_NO_MDNS", "true");
    command.args(["run", "--end-with-input", "--state"]).arg(&stack.agent.state);
    let (mut agent, agents_input) = Program::start_held("foreman-agent", command, said.clone());
    agent.line("connected: commands can come").await;

    drop(agents_input);
    agent.line("asked to end").await;
    assert!(agent.ended().await.success());
    assert!(server.runs(), "the server's input has not ended");
    drop(servers_input);
    assert!(server.ended().await.success());
    assert!(!log.exists(), "the database was closed in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_to_end_with_its_input_hears_signals_too() {
    let folder = Folder::new();
    let mut command = program::command("foreman-server");
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path());
    command.env("FOREMAN_END_WITH_INPUT", "true");
    let (mut server, _held) = Program::start_held("foreman-server", command, Said::default());
    server.line("listening on http://").await;
    assert!(server.stop().await.success());
}
