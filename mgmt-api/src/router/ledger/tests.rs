use foreman_protocol::{MissCause, ProviderId};
use tokio::sync::mpsc;

use super::*;
use crate::db::{Location, OpenOptions};

fn entry(tenant: TenantId, at: Millis, cost: i64) -> Entry {
    Entry {
        id: Uuid::now_v7(),
        tenant,
        at,
        account: "user x".into(),
        key: None,
        project: None,
        provider_id: ProviderId::fresh(),
        provider: "openai".into(),
        model: "gpt".into(),
        device_id: None,
        device: None,
        input: 10,
        output: 5,
        cached: 0,
        cost_micros: Some(cost),
        estimated: false,
        latency_ms: 7,
        first_token_ms: Some(3),
        outcome: UsageOutcome::Answered,
        missed: Vec::new(),
    }
}

async fn database(folder: &Path) -> (Db, TenantId) {
    let (announce, mut effects) = mpsc::channel(16);
    tokio::spawn(async move { while effects.recv().await.is_some() {} });
    let location = Location::Sqlite(folder.join("foreman.db"));
    let db = Db::open(OpenOptions { location, readers: 2 }, announce).await.unwrap();
    let tenant = crate::host::ensure_tenant(&db).await.unwrap();
    (db, tenant)
}

async fn outcomes(db: &Db) -> Vec<(String, i64)> {
    use sqlx::Row;
    let rows =
        sqlx::query("SELECT outcome, output_tokens FROM model_usage ORDER BY id").fetch_all(db.read()).await;
    rows.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn limited() -> RouteMiss {
    RouteMiss {
        provider: "anthropic".into(),
        model: "claude".into(),
        cause: MissCause::RateLimited,
        status: Some(429),
        waited_for: None,
    }
}

async fn missed(db: &Db) -> Vec<RouteMiss> {
    let sql = "SELECT miss FROM model_usage_misses ORDER BY usage_id, nth";
    let rows: Vec<(String,)> = sqlx::query_as(sql).fetch_all(db.read()).await.unwrap();
    rows.iter().map(|(miss,)| serde_json::from_str(miss).unwrap()).collect()
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("usage")).unwrap().count()
}

#[tokio::test]
async fn what_a_killed_server_left_is_recorded_once() {
    let folder = tempfile::tempdir().unwrap();
    let (db, tenant) = database(folder.path()).await;
    let (begun, mut ended) = (entry(tenant, now(), 100), entry(tenant, now(), 300));
    ended.missed = vec![limited(), limited()];
    {
        let (mut journal, _) = Journal::open(&folder.path().join("usage")).unwrap();
        let (mut one, mut other) = (Settle::default(), Settle::default());
        journal.write(journal::BEGUN, &Entry { output: 0, ..begun.clone() }, &mut one).unwrap();
        journal.write(journal::BEGUN, &ended, &mut other).unwrap();
        // How far it had come.
        journal.write(journal::BEGUN, &Entry { output: 3, ..begun.clone() }, &mut one).unwrap();
        journal.write(journal::ENDED, &ended, &mut other).unwrap();
    }
    // The power went with a line half written.
    let file = folder.path().join("usage/0.journal");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, [whole.as_slice(), b"E{\"id\":\"0"].concat()).unwrap();
    let copy = std::fs::read(&file).unwrap();

    let ledger = Ledger::open(db.clone(), folder.path()).await.unwrap();
    assert_eq!(outcomes(&db).await, [("interrupted".to_owned(), 3), ("answered".to_owned(), 5)]);
    assert_eq!(missed(&db).await, [limited(), limited()]);
    assert_eq!(ledger.spent(tenant, None, CapPeriod::Day), 400);
    drop(ledger);
    // Killed again between the rows and the removal of the file.
    std::fs::write(&file, copy).unwrap();
    let ledger = Ledger::open(db.clone(), folder.path()).await.unwrap();
    assert_eq!(outcomes(&db).await.len(), 2);
    assert_eq!(missed(&db).await.len(), 2);
    assert_eq!(ledger.spent(tenant, None, CapPeriod::Month), 400);
    // What is too old to be asked for goes, with why.
    rows::prune(&db, now() - DAY_MS).await.unwrap();
    assert_eq!((outcomes(&db).await.len(), missed(&db).await.len()), (2, 2));
    rows::prune(&db, now() + 1).await.unwrap();
    assert_eq!((outcomes(&db).await.len(), missed(&db).await.len()), (0, 0));
}

#[tokio::test]
async fn spending_counts_at_once_and_not_twice_and_files_go() {
    let folder = tempfile::tempdir().unwrap();
    let (db, tenant) = database(folder.path()).await;
    let ledger = Ledger::open(db.clone(), folder.path()).await.unwrap();
    let caps = SpendCaps { day_micros: Some(250), month_micros: None };
    for _ in 0..2 {
        ledger.check(tenant, &caps, None).unwrap();
        let (entry, mut settle) = (entry(tenant, now(), 125), Settle::default());
        ledger.begin(&entry, &mut settle).unwrap();
        ledger.end(Arc::new(entry), settle);
    }
    let refused = ledger.check(tenant, &caps, None).unwrap_err();
    assert_eq!(refused.code, foreman_protocol::ProblemCode::SpendCapReached);
    let details = refused.details.unwrap();
    assert_eq!((&details["cap"], &details["spent_micros"]), (&"day".into(), &250.into()));
    ledger.drain().await.unwrap();
    assert_eq!(ledger.spent(tenant, None, CapPeriod::Day), 250);
    assert_eq!(outcomes(&db).await.len(), 2);
    // A full file is followed by another and goes once all of it is rows.
    let many = 8_000;
    // Some went the same way, and some did not.
    let same = ProviderId::fresh();
    for nth in 0..many {
        let (mut entry, mut settle) = (entry(tenant, now(), 0), Settle::default());
        if nth % 2 == 0 {
            entry.provider_id = same;
        }
        ledger.begin(&entry, &mut settle).unwrap();
        ledger.end(Arc::new(entry), settle);
    }
    assert!(files(folder.path()) > 1);
    ledger.drain().await.unwrap();
    assert_eq!(files(folder.path()), 1);
    assert_eq!(outcomes(&db).await.len(), many + 2);
    let row = sqlx::query("SELECT COUNT(*) FROM model_usage WHERE provider_id = $1 AND latency_ms = 7")
        .bind(same.to_string())
        .fetch_one(db.read())
        .await
        .unwrap();
    assert_eq!(sqlx::Row::get::<i64, _>(&row, 0), 4_000);
}

#[tokio::test]
async fn what_ends_while_rows_are_written_gathers_for_the_next_write() {
    let folder = tempfile::tempdir().unwrap();
    let (db, tenant) = database(folder.path()).await;
    let ledger = Ledger::open(db.clone(), folder.path()).await.unwrap();
    let end = || {
        let (entry, mut settle) = (entry(tenant, now(), 1), Settle::default());
        ledger.begin(&entry, &mut settle).unwrap();
        ledger.end(Arc::new(entry), settle);
    };
    end();
    let another = async {
        assert!(ledger.ended().is_empty(), "the first is on its way");
        end();
    };
    let waiting = || ledger.ended().len();
    let (drained, ()) = tokio::join!(ledger.drain(), another);
    drained.unwrap();
    assert_eq!((outcomes(&db).await.len(), waiting()), (1, 1));
    assert_eq!(ledger.spent(tenant, None, CapPeriod::Day), 2, "it counts before it is a row");
    ledger.drain().await.unwrap();
    assert_eq!((outcomes(&db).await.len(), waiting()), (2, 0));
}

#[test]
fn months_begin_on_their_first_day() {
    // 2026-11-21, 2026-11-01, 2024-02-29, 2024-03-01, 1970-01-31.
    for (day, start) in [(20_778, 20_758), (20_758, 20_758), (19_782, 19_754), (19_783, 19_783), (30, 0)] {
        assert_eq!(spend::month_start(day), start, "{day}");
    }
    let tenant = TenantId::fresh();
    let cap = Cap { tenant, key: None, name: None, period: CapPeriod::Month, micros: 1 };
    assert_eq!(cap.period_number(20_778 * DAY_MS + 5), 20_758);
}
