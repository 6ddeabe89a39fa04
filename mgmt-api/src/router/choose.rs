//! Which models a request may go to, in which order, and why. Pure: nothing is asked and nothing is remembered.
//!
//! A request names a model (`provider/model`, a bare name, or a provider for its default model) or a profile. With a
//! profile, models that cannot do it are left out: switched off, not private where it must be, of a provider that is
//! not used for this, too small, without tools or without eyes where those are known to be missing, without a known
//! price where what may be spent is capped. The rest is put in order by the profile. `auto` looks at the request when
//! told to: a search of the web goes to `auto:research`, more than [`LONG_TOKENS`] to `auto:long`, tools or code
//! between fences to `auto:code`, where these find a model.

use std::borrow::Cow;

use foreman_protocol::{
    KnownFrom, Model, ModelPrice, Route, RouteMiss, RouteReason, RouteUnfit, RouteUnfitSome, Routing,
    RoutingOrder, RoutingProfile, SpendCaps, UnfitBecause, UseFor,
};

use super::{
    peek::Needs,
    profiles::{AUTO, LONG_TOKENS},
};
use crate::providers::{Catalogue, Known, is_remote};

/// Room for the answer that a context must have beside the request, tokens.
const ANSWER_ROOM: u32 = 1_000;
/// Models that were left out are named up to this many.
const UNFIT: usize = 100;

/// Whether the caller's key is for a model: the profile that was asked for, the provider's name, the model's.
pub type Allowed<'a> = &'a (dyn Fn(Option<&str>, &str, &str) -> bool + Sync);

/// A model that a request may go to.
#[derive(Debug, Clone)]
pub struct Candidate<'c> {
    pub known: &'c Known,
    pub model: Cow<'c, Model>,
    chosen: Chosen<'c>,
}

/// How it came to be one. Put into words only of the one that answers: there may be hundreds.
#[derive(Debug, Clone, Copy)]
enum Chosen<'c> {
    ByName,
    By {
        profile: &'c RoutingProfile,
        first: bool,
        /// Nothing else could do it.
        only: bool,
    },
}

/// A model that was left out, told only where nothing else answers.
#[derive(Debug)]
struct LeftOut<'c> {
    provider: &'c str,
    model: Cow<'c, str>,
    because: UnfitBecause,
}

/// Models in the order they are tried.
#[derive(Debug, Default)]
pub struct Choice<'c> {
    /// The profile that was used.
    pub profile: Option<&'c str>,
    pub candidates: Vec<Candidate<'c>>,
    left_out: Vec<LeftOut<'c>>,
}

impl Candidate<'_> {
    /// Why it may be asked.
    #[must_use]
    pub fn because(&self) -> Vec<RouteReason> {
        let model = &self.model;
        match self.chosen {
            Chosen::ByName => {
                let mut because = vec![RouteReason::Asked];
                because.extend(model.private.then_some(RouteReason::Private));
                because.extend((model.loaded == Some(true)).then_some(RouteReason::Loaded));
                because
            }
            Chosen::By { profile, first, only } => {
                let mut because = reasons(profile, self.known, model, first);
                because.extend(only.then_some(RouteReason::Able));
                because
            }
        }
    }

    /// What is told of it, after `missed` were tried.
    #[must_use]
    pub fn route(&self, missed: &[RouteMiss]) -> Route {
        let mut because = self.because();
        if !missed.is_empty() {
            because.push(RouteReason::Fallback);
        }
        Route {
            provider_id: self.known.provider.id,
            provider: self.known.provider.name.clone(),
            model: self.model.id.clone(),
            device_id: self.known.provider.device_id,
            device: self.known.device_name.clone(),
            because,
            instead_of: missed.to_vec(),
            not_considered: Vec::new(),
        }
    }
}

/// Models for a request, in order.
pub fn choose<'c>(
    catalogue: &'c Catalogue,
    routing: &'c Routing,
    asked: &str,
    needs: &Needs,
    allowed: Allowed<'_>,
) -> Choice<'c> {
    let asked = if asked.is_empty() { AUTO } else { asked };
    let Some(profile) = find(routing, asked) else { return named(catalogue, asked, needs, allowed) };
    if profile.by_request {
        for (fits, name) in [
            (needs.research, "auto:research"),
            (needs.input_tokens > LONG_TOKENS, "auto:long"),
            (needs.code, "auto:code"),
        ] {
            let Some(closer) = find(routing, name).filter(|_| fits) else { continue };
            let choice = by_profile(catalogue, closer, asked, needs, allowed);
            if !choice.candidates.is_empty() {
                return choice;
            }
        }
    }
    by_profile(catalogue, profile, asked, needs, allowed)
}

/// Tokens of context that a request by this name can count on, `unknown` for a model that does not tell: of the largest
/// model that the profile may choose; of models with a name, each of which may have to answer, the least. Models that
/// cannot be reached now count only where there are no others. `None` where nothing fits.
pub fn context(catalogue: &Catalogue, routing: &Routing, asked: &str, unknown: u32) -> Option<u32> {
    let asked = if asked.is_empty() { AUTO } else { asked };
    let needs = Needs { price: routing.caps != SpendCaps::default(), ..Needs::default() };
    let of = |choice: &Choice<'_>| -> Vec<u32> {
        let reachable = choice.candidates.iter().any(|candidate| candidate.known.online);
        let counts = choice.candidates.iter().filter(|candidate| candidate.known.online == reachable);
        counts.map(|candidate| candidate.model.context_tokens.unwrap_or(unknown)).collect()
    };
    let Some(profile) = find(routing, asked) else {
        return of(&named(catalogue, asked, &needs, &|_, _, _| true)).into_iter().min();
    };
    let long = find(routing, "auto:long").filter(|_| profile.by_request);
    let profiles = std::iter::once(profile).chain(long);
    profiles.flat_map(|profile| of(&by_profile(catalogue, profile, asked, &needs, &|_, _, _| true))).max()
}

fn find<'c>(routing: &'c Routing, name: &str) -> Option<&'c RoutingProfile> {
    routing.profiles.iter().find(|profile| profile.name == name)
}

/// A model's own name, or one without the tag that Ollama adds by itself.
fn is_called(model: &str, name: &str) -> bool {
    model == name || model.strip_suffix(":latest") == Some(name)
}

fn named<'c>(catalogue: &'c Catalogue, asked: &str, needs: &Needs, allowed: Allowed<'_>) -> Choice<'c> {
    let mut choice = Choice::default();
    let (of, rest) = asked.split_once('/').unwrap_or((asked, ""));
    if let Some(known) = catalogue.providers.iter().find(|known| known.provider.name == of) {
        let name = if rest.is_empty() { known.provider.default_model.as_deref() } else { Some(rest) };
        if let Some(name) = name {
            let model = match known.models.iter().find(|model| is_called(&model.id, name)) {
                Some(model) => Cow::Borrowed(model),
                // Its list may be older than the model.
                None => Cow::Owned(unlisted(known, name)),
            };
            choice.add_named(known, model, needs, allowed);
            return choice;
        }
    }
    let mut found: Vec<(&Known, &Model)> =
        all(catalogue).filter(|(_, model)| is_called(&model.id, asked)).collect();
    found.sort_by_key(|&(known, model)| order_key(RoutingOrder::LocalFirst, known, model, needs));
    for (known, model) in found {
        choice.add_named(known, Cow::Borrowed(model), needs, allowed);
    }
    choice
}

fn all(catalogue: &Catalogue) -> impl Iterator<Item = (&Known, &Model)> {
    catalogue.providers.iter().flat_map(|known| known.models.iter().map(move |model| (known, model)))
}

/// A model that only its name is known of.
fn unlisted(known: &Known, name: &str) -> Model {
    Model {
        provider_id: known.provider.id,
        provider: known.provider.name.clone(),
        id: name.to_owned(),
        context_tokens: None,
        most_context_tokens: None,
        output_tokens: None,
        tools: None,
        vision: None,
        embeddings: false,
        price: None,
        known_from: KnownFrom::Unknown,
        known_at: None,
        private: known.provider.device_id.is_some() && !is_remote(name),
        size: None,
        loaded: None,
        enabled: true,
        entered: None,
    }
}

impl<'c> Choice<'c> {
    /// The models that were left out, up to [`UNFIT`], and why.
    #[must_use]
    pub fn unfit(&self) -> Vec<RouteUnfit> {
        let told = |left: &LeftOut<'_>| RouteUnfit {
            provider: left.provider.to_owned(),
            model: left.model.clone().into_owned(),
            because: left.because,
        };
        self.left_out.iter().map(told).collect()
    }

    /// The same in short, for whoever reads an answer; what embeds is no alternative to what chats.
    #[must_use]
    pub fn unfit_in_short(&self) -> Vec<RouteUnfitSome> {
        let mut some: Vec<RouteUnfitSome> = Vec::new();
        for left in self.left_out.iter().filter(|left| left.because != UnfitBecause::Kind) {
            let same =
                |one: &&mut RouteUnfitSome| one.provider == left.provider && one.because == left.because;
            match some.iter_mut().find(same) {
                Some(one) => one.model = None,
                None => some.push(RouteUnfitSome {
                    provider: left.provider.to_owned(),
                    model: Some(left.model.clone().into_owned()),
                    because: left.because,
                }),
            }
        }
        some
    }

    fn add_named(&mut self, known: &'c Known, model: Cow<'c, Model>, needs: &Needs, allowed: Allowed<'_>) {
        let why =
            match (known.provider.enabled && model.enabled, allowed(None, &known.provider.name, &model.id)) {
                (false, _) => Some(UnfitBecause::Disabled),
                (true, false) => Some(UnfitBecause::Key),
                (true, true) => needs.misses_price(&model).then_some(UnfitBecause::Price),
            };
        match why {
            Some(because) => {
                let id = match model {
                    Cow::Borrowed(model) => Cow::Borrowed(model.id.as_str()),
                    Cow::Owned(model) => Cow::Owned(model.id),
                };
                self.leave_out(known, id, because);
            }
            None => self.candidates.push(Candidate { known, model, chosen: Chosen::ByName }),
        }
    }

    fn leave_out(&mut self, known: &'c Known, model: Cow<'c, str>, because: UnfitBecause) {
        if self.left_out.len() < UNFIT {
            self.left_out.push(LeftOut { provider: &known.provider.name, model, because });
        }
    }
}

fn by_profile<'c>(
    catalogue: &'c Catalogue,
    profile: &'c RoutingProfile,
    asked: &str,
    needs: &Needs,
    allowed: Allowed<'_>,
) -> Choice<'c> {
    let mut choice = Choice { profile: Some(&profile.name), ..Choice::default() };
    let mut able: Vec<(&Known, &Model)> = Vec::new();
    let mut unable = false;
    for (known, model) in all(catalogue) {
        let listed = place(profile, known, model).is_some();
        if profile.order == RoutingOrder::AsListed && !listed {
            continue;
        }
        let why = unfit(profile, known, model, needs, listed).or_else(|| {
            let whole = allowed(Some(asked), &known.provider.name, &model.id);
            (!whole).then_some(UnfitBecause::Key)
        });
        match why {
            Some(because) => {
                unable |=
                    matches!(because, UnfitBecause::Tools | UnfitBecause::Vision | UnfitBecause::Context);
                choice.leave_out(known, Cow::Borrowed(&model.id), because);
            }
            None => able.push((known, model)),
        }
    }
    able.sort_by_cached_key(|&(known, model)| {
        let listed = place(profile, known, model).unwrap_or(usize::MAX);
        (listed, order_key(profile.order, known, model, needs))
    });
    let only = unable && able.len() == 1;
    choice.candidates = able
        .into_iter()
        .enumerate()
        .map(|(nth, (known, model))| Candidate {
            known,
            model: Cow::Borrowed(model),
            chosen: Chosen::By { profile, first: nth == 0, only },
        })
        .collect();
    choice
}

/// Where the profile's list has it.
fn place(profile: &RoutingProfile, known: &Known, model: &Model) -> Option<usize> {
    profile.models.iter().position(|entry| {
        entry
            .split_once('/')
            .is_some_and(|(of, name)| of == known.provider.name && is_called(&model.id, name))
    })
}

impl Needs {
    /// Whether the model costs what nobody knows, where that must be known.
    fn misses_price(&self, model: &Model) -> bool {
        self.price && !model.private && model.price.is_none()
    }
}

fn unfit(
    profile: &RoutingProfile,
    known: &Known,
    model: &Model,
    needs: &Needs,
    listed: bool,
) -> Option<UnfitBecause> {
    let used = |wanted: UseFor| {
        known.provider.use_for.iter().any(|use_for| *use_for == wanted || *use_for == UseFor::All)
    };
    let in_use = match profile.use_for {
        Some(wanted) => used(wanted),
        None => !known.provider.use_for.is_empty(),
    };
    let room = needs.input_tokens.saturating_add(ANSWER_ROOM);
    let small = model.context_tokens.is_some_and(|context| context < room);
    let short = profile.min_context.is_some_and(|least| model.context_tokens.is_none_or(|has| has < least));
    [
        (!known.provider.enabled || !model.enabled, UnfitBecause::Disabled),
        (model.embeddings != needs.embeddings, UnfitBecause::Kind),
        (profile.private_only && !model.private, UnfitBecause::NotPrivate),
        // What a person put into the list is used for it.
        (!in_use && !listed, UnfitBecause::UseFor),
        (needs.tools && model.tools == Some(false), UnfitBecause::Tools),
        (needs.vision && model.vision == Some(false), UnfitBecause::Vision),
        (small || (short && !listed), UnfitBecause::Context),
        (needs.misses_price(model), UnfitBecause::Price),
    ]
    .into_iter()
    .find_map(|(is, because)| is.then_some(because))
}

/// Smaller is earlier.
type OrderKey<'c> = (u64, bool, bool, bool, bool, u64, &'c str, &'c str);

fn order_key<'c>(order: RoutingOrder, known: &'c Known, model: &'c Model, needs: &Needs) -> OrderKey<'c> {
    let cost = cost(model, needs);
    let first = if order == RoutingOrder::Cheapest { cost } else { 0 };
    (
        first,
        !model.private,
        model.loaded != Some(true),
        !known.provider.is_default,
        known.provider.default_model.as_deref().is_none_or(|name| !is_called(&model.id, name)),
        cost,
        &known.provider.name,
        &model.id,
    )
}

/// Of this request with an answer of ordinary length, micro-dollars a million times over; unknown prices come last.
fn cost(model: &Model, needs: &Needs) -> u64 {
    if model.private {
        return 0;
    }
    let Some(ModelPrice { input_micros, output_micros, .. }) = model.price else { return u64::MAX };
    let each =
        |tokens: u32, micros: i64| u64::from(tokens).saturating_mul(u64::try_from(micros).unwrap_or(0));
    each(needs.input_tokens.max(1), input_micros).saturating_add(each(ANSWER_ROOM, output_micros))
}

fn reasons(profile: &RoutingProfile, known: &Known, model: &Model, first: bool) -> Vec<RouteReason> {
    let own = known.provider.device_id.is_some();
    [
        (place(profile, known, model).is_some(), RouteReason::Listed),
        (profile.use_for == Some(UseFor::Code), RouteReason::Code),
        (profile.use_for == Some(UseFor::Research), RouteReason::Research),
        (profile.min_context.is_some(), RouteReason::LongContext),
        (model.private && profile.private_only, RouteReason::Private),
        // What a device passes on to a cloud is not on it.
        (
            model.private && !profile.private_only && profile.order == RoutingOrder::LocalFirst,
            RouteReason::Local,
        ),
        (model.loaded == Some(true), RouteReason::Loaded),
        (first && profile.order == RoutingOrder::Cheapest, RouteReason::Cheapest),
        (!own && known.provider.is_default, RouteReason::DefaultProvider),
    ]
    .into_iter()
    .filter_map(|(is, reason)| is.then_some(reason))
    .collect()
}

#[cfg(test)]
mod tests;
