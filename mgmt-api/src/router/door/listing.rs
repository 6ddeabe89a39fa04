//! The models a caller may ask, as OpenAI and as Anthropic list them.

use foreman_protocol::{Model, ProblemCode};
use serde_json::{Value, json};

use crate::{
    App,
    problem::{ApiError, ApiResult},
    providers::{Catalogue, Wire},
    router::{access::Who, choose, peek::Needs},
};

/// As Anthropic documents it.
const PAGE: usize = 20;
const MOST_PAGE: usize = 1_000;

/// When it was made, seconds, and its name for people.
struct Listed {
    id: String,
    owner: String,
    created: i64,
}

fn listed(app: &App, catalogue: &Catalogue, who: &Who) -> Vec<Listed> {
    let routing = app.router.routing();
    let for_key = |profile: &str| {
        who.key
            .as_ref()
            .is_none_or(|key| key.models.is_empty() || key.models.iter().any(|model| model == profile))
    };
    let profiles = routing.profiles.iter().filter(|profile| for_key(&profile.name)).map(|profile| Listed {
        id: profile.name.clone(),
        owner: "foreman".into(),
        created: 0,
    });
    let models = catalogue.providers.iter().filter(|known| known.provider.enabled).flat_map(|known| {
        let may = |model: &&Model| model.enabled && who.allows(None, &known.provider.name, &model.id);
        known.models.iter().filter(may).map(|model| Listed {
            id: format!("{}/{}", known.provider.name, model.id),
            owner: known.provider.name.clone(),
            created: known.provider.created_at / 1_000,
        })
    });
    profiles.chain(models).collect()
}

fn shape(format: Wire, model: &Listed) -> Value {
    match format {
        Wire::OpenAi => {
            json!({ "id": model.id, "object": "model", "created": model.created, "owned_by": model.owner })
        }
        Wire::Anthropic => json!({
            "type": "model",
            "id": model.id,
            "display_name": model.id,
            "created_at": date(model.created),
        }),
    }
}

/// RFC 3339.
fn date(seconds: i64) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    humantime::format_rfc3339_seconds(time).to_string()
}

pub async fn all(
    app: &App,
    who: &Who,
    format: Wire,
    limit: Option<usize>,
    after: Option<&str>,
) -> ApiResult<Value> {
    let catalogue = app.providers.catalogue(app, who.tenant).await?;
    let mut models = listed(app, &catalogue, who);
    if format == Wire::OpenAi {
        // OpenAI's list has no pages; what is kept in memory is bounded.
        let data: Vec<Value> = models.iter().map(|model| shape(format, model)).collect();
        return Ok(json!({ "object": "list", "data": data }));
    }
    if let Some(at) = after.and_then(|after| models.iter().position(|model| model.id == after)) {
        models.drain(..=at);
    }
    let limit = limit.unwrap_or(PAGE).clamp(1, MOST_PAGE);
    let more = models.len() > limit;
    models.truncate(limit);
    Ok(json!({
        "data": models.iter().map(|model| shape(format, model)).collect::<Vec<_>>(),
        "has_more": more,
        "first_id": models.first().map(|model| &model.id),
        "last_id": models.last().map(|model| &model.id),
    }))
}

pub async fn one(app: &App, who: &Who, format: Wire, name: &str) -> ApiResult<Value> {
    let catalogue = app.providers.catalogue(app, who.tenant).await?;
    let models = listed(app, &catalogue, who);
    if let Some(model) = models.iter().find(|model| model.id == name) {
        return Ok(shape(format, model));
    }
    let routing = app.router.routing();
    let allowed = |profile: Option<&str>, provider: &str, model: &str| who.allows(profile, provider, model);
    let choice = choose::choose(&catalogue, &routing, name, &Needs::default(), &allowed);
    let known = choice.candidates.first().filter(|_| choice.profile.is_none()).map(|candidate| Listed {
        id: name.to_owned(),
        owner: candidate.known.provider.name.clone(),
        created: candidate.known.provider.created_at / 1_000,
    });
    known.map(|model| shape(format, &model)).ok_or_else(|| {
        ApiError::new(
            ProblemCode::ModelUnavailable,
            format!("There is no model {name:?}, or not for this key."),
        )
    })
}
