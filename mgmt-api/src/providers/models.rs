//! The catalogue of models over HTTP, and what people enter about them.

use axum::extract::State;
use foreman_protocol::{Event, Model, ModelPrice, Page, ProviderId, Role, UpdateModel};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{change::place, store};
use crate::{
    App,
    auth::Caller,
    extract::{Json, Path, Query},
    problem::{ApiError, ApiResult},
    query::Paging,
};

/// More than any model has.
const MOST_TOKENS: u32 = 1_000_000_000;
/// A dollar a token.
const MOST_MICROS: i64 = 1_000_000_000_000;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, update))
}

#[derive(Debug, Deserialize, IntoParams)]
struct ModelQuery {
    /// A provider's name.
    provider: Option<String>,
    /// Part of `provider/model`.
    q: Option<String>,
    /// Only those whose requests stay on one's own devices, or only the others.
    private: Option<bool>,
    /// Only those that make embeddings, or only those that do not.
    embeddings: Option<bool>,
    limit: Option<u32>,
    cursor: Option<String>,
}

impl ModelQuery {
    fn wants(&self, model: &Model) -> bool {
        let part = |part: &String| place(model).to_lowercase().contains(&part.to_lowercase());
        self.provider.as_ref().is_none_or(|name| *name == model.provider)
            && self.q.as_ref().is_none_or(part)
            && self.private.is_none_or(|private| private == model.private)
            && self.embeddings.is_none_or(|embeddings| embeddings == model.embeddings)
            && self.cursor.as_ref().is_none_or(|cursor| place(model) > *cursor)
    }
}

/// Models of all providers, by `provider/model`.
#[utoipa::path(get, path = "/api/v1/models", tag = "models", params(ModelQuery),
    responses((status = 200, body = Page<Model>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ModelQuery>,
) -> ApiResult<Json<Page<Model>>> {
    // Asked after an event, it must not show what was before it.
    let catalogue = app.providers.renew(&app, caller.tenant).await?;
    let all = catalogue.providers.iter().flat_map(|known| &known.models);
    let mut models: Vec<&Model> = all.filter(|model| query.wants(model)).collect();
    models.sort_by_cached_key(|model| place(model));
    let paging = Paging { limit: query.limit, cursor: query.cursor };
    let items = models.into_iter().take(paging.fetch()).cloned().collect();
    Ok(Json(paging.page(items, place)))
}

/// One model.
#[utoipa::path(get, path = "/api/v1/models/{provider}/{*model}", tag = "models",
    params(("provider" = String, Path, description = "The provider's name"),
        ("model" = String, Path, description = "What the provider calls it")),
    responses((status = 200, body = Model)))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path((provider, model)): Path<(String, String)>,
) -> ApiResult<Json<Model>> {
    find(&app, &caller, &provider, &model).await.map(Json)
}

async fn find(app: &App, caller: &Caller, provider: &str, model: &str) -> ApiResult<Model> {
    let catalogue = app.providers.catalogue(app, caller.tenant).await?;
    let known = catalogue.providers.iter().find(|known| known.provider.name == provider);
    let known = known.and_then(|known| known.models.iter().find(|known| known.id == model));
    known.cloned().ok_or_else(|| ApiError::not_found("model"))
}

/// Enters what is known of a model, as a whole: what is absent is again what the provider or the table says.
#[utoipa::path(patch, path = "/api/v1/models/{provider}/{*model}", tag = "models", request_body = UpdateModel,
    params(("provider" = String, Path, description = "The provider's name"),
        ("model" = String, Path, description = "What the provider calls it")),
    responses((status = 200, body = Model)))]
async fn update(
    State(app): State<App>,
    caller: Caller,
    Path((provider, model)): Path<(String, String)>,
    Json(entered): Json<UpdateModel>,
) -> ApiResult<Json<Model>> {
    caller.at_least(Role::Admin)?;
    check(&entered)?;
    let known = find(&app, &caller, &provider, &model).await?;
    let (cause, id, name): (_, ProviderId, _) = (caller.cause(), known.provider_id, known.id);
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let nothing = UpdateModel { enabled: true, ..UpdateModel::default() };
                let kept = (entered != nothing).then_some(&entered);
                store::enter(tx, id, &name, kept).await?;
                tx.emit(&cause, Event::ModelUpdated { provider_id: id, model: name }).await?;
                Ok(())
            })
        })
        .await?;
    app.providers.renew(&app, caller.tenant).await?;
    find(&app, &caller, &provider, &model).await.map(Json)
}

fn check(entered: &UpdateModel) -> ApiResult<()> {
    for (field, tokens) in
        [("context_tokens", entered.context_tokens), ("output_tokens", entered.output_tokens)]
    {
        if tokens.is_some_and(|tokens| tokens == 0 || tokens > MOST_TOKENS) {
            return Err(ApiError::invalid(field, "Give a number of tokens above 0, or nothing."));
        }
    }
    let Some(ModelPrice { input_micros, output_micros, cached_micros }) = entered.price else {
        return Ok(());
    };
    let fits = |micros: i64| (0..=MOST_MICROS).contains(&micros);
    match fits(input_micros) && fits(output_micros) && cached_micros.is_none_or(fits) {
        true => Ok(()),
        false => {
            Err(ApiError::invalid("price", "A price is not below 0, and at most a dollar for each token."))
        }
    }
}
