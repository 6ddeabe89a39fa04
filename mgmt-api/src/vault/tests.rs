//! Asking for keys, as what sends requests to providers does.

use foreman_protocol::ProblemCode::{Internal, NotFound, VaultLocked, VaultMissing};
use foreman_protocol::VaultProvider::{Groq, Openai};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::*;
use crate::{
    db::{Location, OpenOptions},
    host,
};

const PASSWORD: &str = "correct horse battery";

fn password() -> Zeroizing<String> {
    Zeroizing::new(PASSWORD.to_owned())
}

/// A vault of a database of its own, as a server has it.
async fn vault() -> (TempDir, Vault, Cause) {
    let folder = tempfile::tempdir().unwrap();
    let (announce, mut effects) = mpsc::channel(64);
    tokio::spawn(async move { while effects.recv().await.is_some() {} });
    let location = Location::Sqlite(folder.path().join("foreman.db"));
    let db = Db::open(OpenOptions { location, readers: 2 }, announce).await.unwrap();
    let cause = Cause::host(host::ensure_tenant(&db).await.unwrap());
    (folder, Vault::new(db, 0, None), cause)
}

async fn code(vault: &Vault, cause: &Cause, provider: VaultProvider, name: &str) -> Option<ProblemCode> {
    vault.key(cause.tenant, provider, name).await.err().map(|error| error.code)
}

#[tokio::test]
async fn a_key_is_given_while_the_vault_is_open() {
    let (_folder, vault, cause) = vault().await;
    assert_eq!(code(&vault, &cause, Openai, "main").await, Some(VaultMissing));
    vault.initialise(cause.clone(), password()).await.unwrap();
    let added = vault.add(cause.clone(), Openai, "main", "sk-0123456789").await.unwrap();
    assert_eq!(*vault.key(cause.tenant, Openai, "main").await.unwrap(), "sk-0123456789");
    assert_eq!(code(&vault, &cause, Openai, "other").await, Some(NotFound));
    assert_eq!(code(&vault, &cause, Groq, "main").await, Some(NotFound));
    assert_eq!(code(&vault, &Cause::host(TenantId::fresh()), Openai, "main").await, Some(VaultMissing));

    vault.lock(cause.clone()).await.unwrap();
    assert_eq!(code(&vault, &cause, Openai, "main").await, Some(VaultLocked));
    assert_eq!(code(&vault, &cause, Openai, "other").await, Some(VaultLocked));
    vault.unlock(cause.clone(), password()).await.unwrap();
    assert!(vault.key(cause.tenant, Openai, "main").await.is_ok());
    vault.remove(cause.clone(), added.id).await.unwrap();
    assert_eq!(code(&vault, &cause, Openai, "main").await, Some(NotFound));
}

#[tokio::test]
async fn one_server_locks_for_all_and_each_is_opened_on_its_own() {
    let (_folder, here, cause) = vault().await;
    let there = Vault::new(here.db.clone(), 0, None);
    here.initialise(cause.clone(), password()).await.unwrap();
    here.add(cause.clone(), Openai, "main", "sk-0123456789").await.unwrap();
    assert_eq!(code(&there, &cause, Openai, "main").await, Some(VaultLocked));
    there.unlock(cause.clone(), password()).await.unwrap();
    assert_eq!(code(&there, &cause, Openai, "main").await, None);
    assert_eq!(code(&here, &cause, Openai, "main").await, None);
    there.lock(cause.clone()).await.unwrap();
    // As it does when the log tells.
    here.forget();
    assert_eq!(code(&here, &cause, Openai, "main").await, Some(VaultLocked));
    assert!(!here.status(cause.tenant).await.unwrap().unlocked);
}

#[tokio::test]
async fn a_value_in_another_row_is_not_given() {
    let (_folder, vault, cause) = vault().await;
    vault.initialise(cause.clone(), password()).await.unwrap();
    vault.add(cause.clone(), Openai, "main", "sk-0123456789").await.unwrap();
    vault.add(cause.clone(), Groq, "main", "gsk-0123456789").await.unwrap();
    sqlx::query(
        "UPDATE vault_keys SET sealed = (SELECT o.sealed FROM vault_keys o WHERE o.provider = 'groq') \
         WHERE provider = 'openai'",
    )
    .execute(vault.db.read())
    .await
    .unwrap();
    assert_eq!(code(&vault, &cause, Openai, "main").await, Some(Internal));
    assert_eq!(code(&vault, &cause, Groq, "main").await, None);
}

#[tokio::test]
async fn a_row_is_read_once_and_again_after_a_change() {
    let (_folder, vault, cause) = vault().await;
    vault.initialise(cause.clone(), password()).await.unwrap();
    vault.add(cause.clone(), Openai, "main", "sk-0123456789").await.unwrap();
    let as_of = vault.changes();
    let read = || store::sealed_key(&vault.db, cause.tenant, Openai, "main");
    let before = read().await.unwrap().1.unwrap();
    assert_eq!(code(&vault, &cause, Openai, "main").await, None);
    sqlx::query("DELETE FROM vault_keys").execute(vault.db.read()).await.unwrap();
    assert_eq!(code(&vault, &cause, Openai, "main").await, None, "nothing was read");
    vault.forget();
    assert_eq!(code(&vault, &cause, Openai, "main").await, Some(NotFound));
    // Who read it before that and comes late brings it back for nobody.
    vault.keep(cause.tenant, as_of, before, &Zeroizing::new("sk-0123456789".into()));
    assert_eq!(code(&vault, &cause, Openai, "main").await, Some(NotFound));
}

#[tokio::test]
async fn what_nobody_used_for_long_is_not_given_even_before_it_is_wiped() {
    let (_folder, mut vault, cause) = vault().await;
    vault.initialise(cause.clone(), password()).await.unwrap();
    vault.add(cause.clone(), Openai, "main", "sk-0123456789").await.unwrap();
    vault.locks_after = Some(Duration::ZERO);
    assert_eq!(code(&vault, &cause, Openai, "main").await, Some(VaultLocked));
    assert_eq!(vault.open().len(), 1);
    vault.lock_idle().await;
    assert!(vault.open().is_empty());
}

/// A vault of another tenant in the same database, with the same password.
async fn another(vault: &Vault) -> Cause {
    let tenant = TenantId::fresh();
    let sql = "INSERT INTO tenants (id, name, created_at, last_cursor, last_hash) \
               SELECT $1, 'away', created_at + 1, 0, last_hash FROM tenants";
    sqlx::query(sql).bind(tenant.to_string()).execute(vault.db.read()).await.unwrap();
    let cause = Cause::host(tenant);
    vault.initialise(cause.clone(), password()).await.unwrap();
    cause
}

#[tokio::test]
async fn each_tenant_has_a_data_key_of_its_own() {
    let (_folder, vault, here) = vault().await;
    vault.initialise(here.clone(), password()).await.unwrap();
    let there = another(&vault).await;
    let sealed = vault.with_data_key(here.tenant, 0, |data| data.seal(&["x"], b"secret")).unwrap().unwrap();
    let open = |tenant| vault.with_data_key(tenant, 0, |data| data.open(&["x"], &sealed)).unwrap();
    assert_eq!(open(here.tenant).unwrap().as_slice(), b"secret");
    assert_eq!(open(there.tenant), Err(sealed::DoesNotOpen));
}

/// Whoever can write the database cannot show one tenant what is another's, nor open it with a password that they know.
#[tokio::test]
async fn rows_of_another_tenant_do_not_open() {
    let (_folder, vault, here) = vault().await;
    vault.initialise(here.clone(), password()).await.unwrap();
    let there = another(&vault).await;
    for (cause, key) in [(&here, "sk-0123456789"), (&there, "sk-another")] {
        vault.add(cause.clone(), Openai, "main", key).await.unwrap();
    }
    vault.add(here.clone(), Groq, "moved", "gsk-0123456789").await.unwrap();
    let change = async |sql: &'static str| {
        let query = sqlx::query(sql).bind(here.tenant.to_string()).bind(there.tenant.to_string());
        assert_eq!(query.execute(vault.db.read()).await.unwrap().rows_affected(), 1);
        vault.forget();
    };
    change("UPDATE vault_keys SET tenant_id = $2 WHERE tenant_id = $1 AND name = 'moved'").await;
    assert_eq!(code(&vault, &there, Groq, "moved").await, Some(Internal));
    change(
        "UPDATE vault_keys SET sealed = (SELECT o.sealed FROM vault_keys o WHERE o.tenant_id = $1) \
         WHERE tenant_id = $2 AND name = 'main'",
    )
    .await;
    assert_eq!(code(&vault, &there, Openai, "main").await, Some(Internal));
    assert_eq!(code(&vault, &here, Openai, "main").await, None);

    change(
        "UPDATE vaults SET (kdf_salt, wrapped) = (SELECT o.kdf_salt, o.wrapped FROM vaults o WHERE o.tenant_id = $1) \
         WHERE tenant_id = $2",
    )
    .await;
    let refused = vault.unlock(there.clone(), password()).await.unwrap_err();
    assert_eq!(refused.code, ProblemCode::VaultPasswordWrong);
    vault.unlock(here, password()).await.unwrap();
}

/// The limit of core files does not hold for a system that hands crashes to a program of its own.
#[cfg(target_os = "linux")]
#[test]
fn a_server_is_not_to_be_dumped() {
    use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};
    leave_no_core();
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    assert_eq!(getrlimit(Resource::Core).current, Some(0));
}
