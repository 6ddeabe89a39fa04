//! What the person with a shell on the server's host can do: set up, make links and tokens, look after the data.

use std::{fs::File, io::ErrorKind, net::SocketAddr, path::Path};

use anyhow::{Context, bail};
use foreman_protocol::{AuditVerification, Role, TenantId, UserId};
use sqlx::Row;
use tokio::sync::mpsc;

use crate::{
    accounts::{self, PURPOSE_SETUP, PURPOSE_SIGN_IN},
    auth,
    config::DataOptions,
    db::{Db, Location, OpenOptions, now},
    events::{Cause, GENESIS, audit},
    problem::{ApiError, ApiResult},
    sealing::canary,
    secrets::{self, Kind},
};

const SIGN_IN_LINK_LIFE_MS: i64 = 10 * 60 * 1000;
const SETUP_CODE_LIFE_MS: i64 = 24 * 60 * 60 * 1000;
const OWNER: &str = "owner";

/// The first tenant, made when there is none.
pub async fn ensure_tenant(db: &Db) -> ApiResult<TenantId> {
    db.write(|tx| {
        Box::pin(async move {
            let row = sqlx::query("SELECT id FROM tenants ORDER BY created_at, id LIMIT 1")
                .fetch_optional(tx.conn())
                .await?;
            if let Some(row) = row {
                return auth::parse(&row.try_get::<String, _>(0)?);
            }
            let id = TenantId::fresh();
            sqlx::query(
                "INSERT INTO tenants (id, name, created_at, last_cursor, last_hash) VALUES ($1, $2, $3, 0, $4)",
            )
            .bind(id.to_string())
            .bind("home")
            .bind(now())
            .bind(GENESIS)
            .execute(tx.conn())
            .await?;
            Ok(id)
        })
    })
    .await
}

/// A fresh setup code while there is no owner; the ones before stop working.
pub async fn setup_code(db: &Db, tenant: TenantId) -> ApiResult<Option<String>> {
    db.write(move |tx| {
        Box::pin(async move {
            if accounts::has_users(tx.conn(), tenant).await? {
                return Ok(None);
            }
            sqlx::query("DELETE FROM one_time_secrets WHERE purpose = $1 AND subject = $2")
                .bind(PURPOSE_SETUP)
                .bind(tenant.to_string())
                .execute(tx.conn())
                .await?;
            let code = secrets::typed_code();
            accounts::store_one_time(tx, PURPOSE_SETUP, &tenant.to_string(), &code, SETUP_CODE_LIFE_MS)
                .await?;
            Ok(Some(code))
        })
    })
    .await
}

/// A folder that was mistyped would begin a database of its own, and its links and tokens would open nothing.
fn must_be_there(data: &DataOptions) -> anyhow::Result<()> {
    match data.location() {
        Location::Sqlite(file) if !file.exists() => bail!(
            "no server has kept anything in {}: name the folder that it uses with --data, or start it there first",
            data.data.display()
        ),
        _ => Ok(()),
    }
}

/// Opens the data beside a server that may be running.
async fn open(data: &DataOptions) -> anyhow::Result<(Db, TenantId)> {
    must_be_there(data)?;
    let (announce, mut effects) = mpsc::channel(64);
    // The running server finds what was written in the rows.
    tokio::spawn(async move { while effects.recv().await.is_some() {} });
    let db = Db::open(OpenOptions { location: data.location(), readers: 1 }, announce).await?;
    let tenant = ensure_tenant(&db).await?;
    Ok((db, tenant))
}

/// Makes a bearer token for scripts; its secret.
pub async fn create_token(data: &DataOptions, name: &str, role: Role) -> anyhow::Result<String> {
    let name = crate::bounds::name("name", name).map_err(|error| anyhow::anyhow!(error.message))?;
    let (db, tenant) = open(data).await?;
    let created = db
        .write(move |tx| {
            Box::pin(
                async move { accounts::tokens::create_token(tx, &Cause::host(tenant), name, role).await },
            )
        })
        .await?;
    db.close().await;
    Ok(created.secret)
}

/// A one-use link that signs the owner in; makes the owner when there is none. The secret is in the fragment,
/// which browsers do not send.
pub async fn login_link(data: &DataOptions, url: &str) -> anyhow::Result<String> {
    let (db, tenant) = open(data).await?;
    let secret = db
        .write(move |tx| {
            Box::pin(async move {
                let row = sqlx::query(
                    "SELECT id FROM users WHERE tenant_id = $1 AND role = 'owner' ORDER BY created_at LIMIT 1",
                )
                .bind(tenant.to_string())
                .fetch_optional(tx.conn())
                .await?;
                let user: UserId = match row {
                    Some(row) => auth::parse(&row.try_get::<String, _>(0)?)?,
                    None => accounts::create_user(tx, &Cause::host(tenant), OWNER, Role::Owner, None).await?,
                };
                let secret = secrets::generate(Kind::SignInLink);
                accounts::store_one_time(tx, PURPOSE_SIGN_IN, &user.to_string(), &secret, SIGN_IN_LINK_LIFE_MS).await?;
                Ok::<_, ApiError>(secret)
            })
        })
        .await?;
    db.close().await;
    Ok(format!("{}/sign-in#ticket={secret}", url.trim_end_matches('/')))
}

/// The file that says where the server of this folder is reached.
const ADDRESS_FILE: &str = "address";
const DEFAULT_ADDRESS: &str = "http://127.0.0.1:3001";

/// Leaves word for the host's other commands.
pub fn note_address(data: &DataOptions, url: &str) -> anyhow::Result<()> {
    let path = data.data.join(ADDRESS_FILE);
    std::fs::write(&path, url).with_context(|| format!("cannot write {}", path.display()))
}

/// Where the server of this folder was reached last.
pub fn last_address(data: &DataOptions) -> String {
    let noted = std::fs::read_to_string(data.data.join(ADDRESS_FILE)).ok();
    noted
        .map(|url| url.trim().to_owned())
        .filter(|url| !url.is_empty())
        .unwrap_or_else(|| DEFAULT_ADDRESS.to_owned())
}

/// Begins anew with a key for sealed values where the one before is lost; how many tasks that ended.
pub async fn forget_sealed(data: &DataOptions) -> anyhow::Result<usize> {
    must_be_there(data)?;
    let _lock = lock_data(data).context("the server has to be stopped for this")?;
    let (db, tenant) = open(data).await?;
    let ended = canary::forget(&db, tenant).await?;
    db.close().await;
    Ok(ended)
}

/// Checks the event log's chain.
pub async fn verify_log(data: &DataOptions) -> anyhow::Result<AuditVerification> {
    let (db, tenant) = open(data).await?;
    Ok(audit::verify_chain(&db, tenant).await?)
}

/// Keeps a second server off the same data folder; held until dropped.
pub fn lock_data(data: &DataOptions) -> anyhow::Result<File> {
    prepare_folder(&data.data)?;
    let path = data.data.join("server.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot write {}: choose another folder with --data", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => bail!(
            "another foreman-server is using {}: stop it, or choose another folder with --data",
            data.data.display()
        ),
    }
}

/// The folder, readable by its owner only.
pub fn prepare_folder(folder: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).with_context(|| {
        format!("cannot make the data folder {}: choose one you can write to with --data", folder.display())
    })
}

/// Why an address cannot be listened on, and what to do.
pub fn explain_bind(address: SocketAddr, error: &std::io::Error) -> anyhow::Error {
    let remedy = match error.kind() {
        ErrorKind::AddrInUse => {
            "another program listens there: stop it, or choose another port with --listen"
        }
        ErrorKind::PermissionDenied => "this needs more rights: choose a port above 1023 with --listen",
        ErrorKind::AddrNotAvailable => {
            "this machine does not have that address: choose another with --listen"
        }
        _ => "choose another address with --listen",
    };
    anyhow::anyhow!("cannot listen on {address} ({error}): {remedy}")
}
