//! What a test does that cannot run here: it says so, where everybody sees it.

use std::io::Write;

/// Says that a test is left out, and why. With `FOREMAN_NO_SKIPS=1`, as in continuous integration that has every right,
/// the test fails instead.
///
/// # Panics
/// When nothing may be left out.
pub fn skipped(why: &str) {
    assert!(
        std::env::var_os("FOREMAN_NO_SKIPS").is_none_or(|value| value != "1"),
        "{} cannot run here and nothing may be left out (FOREMAN_NO_SKIPS=1): {why}",
        test()
    );
    left_out(why);
}

/// Says that a test is left out, and why, wherever that is: for what no test installs by itself.
pub fn left_out(why: &str) {
    // Past the harness, which keeps for itself what a passing test prints.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {}: {why}", test());
}

fn test() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_may_not_be_left_out_fails() {
        const INSIDE: &str = "FOREMAN_TEST_OF_SKIPS";
        if std::env::var_os(INSIDE).is_some() {
            return super::skipped("there is no such thing here");
        }
        let name = "skipped::tests::what_may_not_be_left_out_fails";
        let run = |no_skips: &str| {
            std::process::Command::new(std::env::current_exe().expect("this program"))
                .args(["--exact", name])
                .env(INSIDE, "1")
                .env("FOREMAN_NO_SKIPS", no_skips)
                .output()
                .expect("it runs")
        };
        let left_out = run("0");
        let said = String::from_utf8_lossy(&left_out.stderr).into_owned();
        assert!(left_out.status.success() && said.contains("SKIPPED: "), "{said}");
        assert!(!run("1").status.success());
    }
}
