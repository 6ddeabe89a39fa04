use foreman_protocol::{
    DeviceId, Provider, ProviderAuth, ProviderHealth, ProviderId, ProviderKind, ProviderState,
};

use super::*;
use crate::router::profiles::defaults;

/// `name`, on a device or not, what it is used for, and its models.
fn known(name: &str, own: bool, use_for: &[UseFor], models: Vec<Model>) -> Known {
    let id = ProviderId::fresh();
    let provider = Provider {
        id,
        kind: if own { ProviderKind::Ollama } else { ProviderKind::Openai },
        auth: ProviderAuth::None,
        name: name.into(),
        base_url: None,
        device_id: own.then(DeviceId::fresh),
        vault_key: None,
        found: own,
        enabled: true,
        is_default: false,
        default_model: None,
        use_for: use_for.to_vec(),
        health: ProviderHealth {
            state: ProviderState::Up,
            reason: None,
            fault: None,
            checked_at: None,
            models: None,
            latency_ms: None,
            credit_micros: None,
            retry_at: None,
        },
        created_at: 0,
    };
    let models = models.into_iter().map(|model| Model {
        provider_id: id,
        provider: name.into(),
        private: own,
        ..model
    });
    Known {
        provider,
        models: models.collect(),
        device_name: own.then(|| format!("{name}-box")),
        online: true,
        device: None,
        due_at: 0,
    }
}

fn model(id: &str, dollars: Option<i64>) -> Model {
    let price = dollars.map(|dollars| ModelPrice {
        input_micros: dollars * 1_000_000,
        output_micros: dollars * 4_000_000,
        cached_micros: None,
    });
    let like = known("x", false, &[], vec![]);
    Model {
        price,
        context_tokens: Some(128_000),
        tools: Some(true),
        vision: Some(false),
        ..unlisted(&like, id)
    }
}

/// A device with two models, one of them loaded; a default provider; a cheap one for code only; one only by name.
fn catalogue() -> Catalogue {
    let loaded = Model {
        loaded: Some(true),
        context_tokens: Some(8_000),
        tools: Some(false),
        ..model("llama3.2:latest", None)
    };
    let home = known("home", true, &[UseFor::All], vec![model("qwen3", None), loaded]);
    let mut openai = known(
        "openai",
        false,
        &[UseFor::All],
        vec![
            model("gpt-big", Some(10)),
            Model { vision: Some(true), ..model("gpt-eyes", Some(20)) },
            Model { embeddings: true, ..model("embed-small", Some(1)) },
        ],
    );
    openai.provider.is_default = true;
    let groq =
        known("groq", false, &[UseFor::Code], vec![Model { context_tokens: None, ..model("fast", Some(1)) }]);
    let hidden = known("hidden", false, &[], vec![model("secret", Some(0))]);
    Catalogue { providers: vec![groq, openai, home, hidden] }
}

fn pick(asked: &str, needs: Needs) -> (Option<String>, Vec<String>, Vec<Vec<RouteReason>>) {
    let (catalogue, routing) = (catalogue(), defaults());
    let choice = choose(&catalogue, &routing, asked, &needs, &|_, _, _| true);
    let names =
        choice.candidates.iter().map(|c| format!("{}/{}", c.known.provider.name, c.model.id)).collect();
    let because = choice.candidates.into_iter().map(|candidate| candidate.because()).collect();
    (choice.profile.map(str::to_owned), names, because)
}

#[test]
fn auto_is_local_first_loaded_before_others_then_the_default_provider() {
    let (profile, names, because) = pick("auto", Needs::default());
    assert_eq!(profile.as_deref(), Some("auto"));
    assert_eq!(
        names,
        ["home/llama3.2:latest", "home/qwen3", "openai/gpt-big", "openai/gpt-eyes", "groq/fast"]
    );
    assert_eq!(because[0], [RouteReason::Local, RouteReason::Loaded]);
    assert_eq!(because[2], [RouteReason::DefaultProvider]);
}

#[test]
fn private_never_leaves_the_devices_whatever_else_there_is() {
    let (_, names, because) = pick("auto:private", Needs::default());
    assert_eq!(names, ["home/llama3.2:latest", "home/qwen3"]);
    assert_eq!(because[0], [RouteReason::Private, RouteReason::Loaded]);
    let (_, none, _) = pick("auto:private", Needs { vision: true, ..Needs::default() });
    assert!(none.is_empty());
}

#[test]
fn cheapest_goes_by_price_and_ones_own_cost_nothing() {
    let (_, names, because) = pick("auto:cheapest", Needs::default());
    assert_eq!(names[..3], ["home/llama3.2:latest", "home/qwen3", "groq/fast"]);
    assert!(because[0].contains(&RouteReason::Cheapest) && !because[1].contains(&RouteReason::Cheapest));
}

#[test]
fn what_a_model_cannot_do_leaves_it_out() {
    let (_, names, _) = pick("auto:private", Needs { tools: true, ..Needs::default() });
    assert_eq!(names, ["home/qwen3"], "the other one has no tools");
    let (_, names, because) = pick("auto", Needs { vision: true, ..Needs::default() });
    assert_eq!(names, ["openai/gpt-eyes"]);
    assert!(because[0].contains(&RouteReason::Able));
    let (_, names, _) = pick("auto", Needs { input_tokens: 20_000, ..Needs::default() });
    assert!(!names.contains(&"home/llama3.2:latest".to_owned()), "8,000 tokens of context");
    let (_, names, _) = pick("auto", Needs { embeddings: true, ..Needs::default() });
    assert_eq!(names, ["openai/embed-small"]);
}

#[test]
fn auto_looks_at_the_request() {
    let (profile, names, because) = pick("auto", Needs { code: true, ..Needs::default() });
    assert_eq!(profile.as_deref(), Some("auto:code"));
    assert!(names.contains(&"groq/fast".to_owned()) && because[0].contains(&RouteReason::Code));
    let (profile, names, _) = pick("auto", Needs { input_tokens: 40_000, ..Needs::default() });
    assert_eq!(profile.as_deref(), Some("auto:long"));
    assert!(!names.contains(&"groq/fast".to_owned()), "how much it takes is not known");
    let (profile, _, _) = pick("auto", Needs { research: true, code: true, ..Needs::default() });
    assert_eq!(profile.as_deref(), Some("auto:research"));
    let (profile, ..) = pick("auto:cheapest", Needs { code: true, ..Needs::default() });
    assert_eq!(profile.as_deref(), Some("auto:cheapest"), "only auto looks");
}

#[test]
fn a_model_is_found_by_its_name() {
    let named = |asked: &str| pick(asked, Needs::default()).1;
    assert_eq!(named("openai/gpt-big"), ["openai/gpt-big"]);
    assert_eq!(named("home/llama3.2"), ["home/llama3.2:latest"]);
    assert_eq!(named("llama3.2"), ["home/llama3.2:latest"]);
    assert_eq!(named("hidden/secret"), ["hidden/secret"], "by name what no profile uses");
    assert_eq!(named("openai/newer-than-the-list"), ["openai/newer-than-the-list"]);
    assert!(named("nothing-like-it").is_empty() && named("openai").is_empty());
    assert!(named("auto:unknown").is_empty());
    assert_eq!(pick("qwen3", Needs::default()).2[0], [RouteReason::Asked, RouteReason::Private]);
}

#[test]
fn a_list_goes_before_the_order_and_alone_when_asked_to() {
    let catalogue = catalogue();
    let mut routing = defaults();
    routing.profiles[0].models = vec!["hidden/secret".into(), "groq/fast".into()];
    let names = |routing: &Routing| -> Vec<String> {
        let choice = choose(&catalogue, routing, "auto", &Needs::default(), &|_, _, _| true);
        choice.candidates.iter().map(|candidate| candidate.model.id.clone()).collect()
    };
    assert_eq!(names(&routing)[..3], ["secret", "fast", "llama3.2:latest"]);
    routing.profiles[0].order = RoutingOrder::AsListed;
    assert_eq!(names(&routing), ["secret", "fast"]);
}

#[test]
fn what_is_switched_off_or_not_allowed_is_no_candidate_and_says_why() {
    let mut catalogue = catalogue();
    catalogue.providers[2].provider.enabled = false;
    let routing = defaults();
    let choice = choose(&catalogue, &routing, "home/qwen3", &Needs::default(), &|_, _, _| true);
    assert!(choice.candidates.is_empty());
    assert_eq!(choice.unfit()[0].because, UnfitBecause::Disabled);
    let only = |_: Option<&str>, provider: &str, _: &str| provider == "groq";
    let choice = choose(&catalogue, &routing, "auto", &Needs::default(), &only);
    assert_eq!(choice.candidates.len(), 1);
    assert!(
        choice.unfit().iter().any(|unfit| unfit.provider == "openai" && unfit.because == UnfitBecause::Key)
    );
}

#[test]
fn under_a_cap_only_models_with_a_price_are_asked() {
    let mut catalogue = catalogue();
    catalogue.providers[1].models.push(Model { provider: "openai".into(), ..model("gpt-secret", None) });
    let routing = defaults();
    let asked = |name: &str, price: bool| {
        let needs = Needs { price, ..Needs::default() };
        let choice = choose(&catalogue, &routing, name, &needs, &|_, _, _| true);
        let names: Vec<String> =
            choice.candidates.iter().map(|candidate| candidate.model.id.clone()).collect();
        (names, choice.unfit().iter().any(|unfit| unfit.because == UnfitBecause::Price))
    };
    for name in ["openai/gpt-secret", "gpt-secret", "openai/not-even-listed"] {
        assert_eq!(asked(name, true), (vec![], true), "{name}");
        assert_eq!(asked(name, false).0.len(), 1, "{name}");
    }
    let (names, left_out) = asked("auto", true);
    assert!(left_out && !names.contains(&"gpt-secret".to_owned()), "{names:?}");
    // One's own devices cost nothing, and nothing is a price.
    assert!(names.contains(&"qwen3".to_owned()) && names.contains(&"gpt-big".to_owned()), "{names:?}");
    assert_eq!(asked("hidden/secret", true).0, ["secret"]);
}

#[test]
fn what_ollama_passes_on_to_its_cloud_is_not_private_even_where_it_is_not_listed() {
    let (catalogue, routing) = (catalogue(), defaults());
    let needs = Needs { price: true, ..Needs::default() };
    for (name, private) in [("home/new", true), ("home/new:cloud", false), ("home/new:120b-cloud", false)] {
        let choice = choose(&catalogue, &routing, name, &Needs::default(), &|_, _, _| true);
        let candidate = &choice.candidates[0];
        assert_eq!(
            (candidate.model.private, candidate.because().contains(&RouteReason::Private)),
            (private, private)
        );
        assert_eq!(
            choose(&catalogue, &routing, name, &needs, &|_, _, _| true).candidates.is_empty(),
            !private
        );
    }
}

#[test]
fn what_a_device_passes_on_to_a_cloud_is_not_chosen_for_being_on_it() {
    let mut catalogue = catalogue();
    let home = &mut catalogue.providers[2];
    home.models = vec![Model { private: false, ..home.models[0].clone() }];
    let routing = defaults();
    let choice = choose(&catalogue, &routing, "auto", &Needs::default(), &|_, _, _| true);
    let of_home =
        choice.candidates.iter().position(|candidate| candidate.known.provider.name == "home").unwrap();
    assert!(of_home > 0, "it is no more local than others");
    assert!(choice.candidates[of_home].because().is_empty());
}

#[test]
fn what_a_conversation_may_fill_is_what_its_models_have() {
    let mut catalogue = catalogue();
    catalogue.providers[1].models[0].context_tokens = Some(1_000_000);
    catalogue.providers[2].models[0].context_tokens = Some(64_000);
    let mut routing = defaults();
    let of = |catalogue: &Catalogue, routing: &Routing, name: &str| context(catalogue, routing, name, 32_000);
    assert_eq!(of(&catalogue, &routing, "auto"), Some(1_000_000));
    assert_eq!(of(&catalogue, &routing, ""), Some(1_000_000));
    assert_eq!(of(&catalogue, &routing, "auto:private"), Some(64_000));
    // Only what is on the list, whatever else there is.
    routing.profiles.push(RoutingProfile {
        name: "auto:mine".into(),
        order: RoutingOrder::AsListed,
        models: vec!["home/llama3.2".into(), "groq/fast".into()],
        ..routing.profiles[2].clone()
    });
    assert_eq!(of(&catalogue, &routing, "auto:mine"), Some(32_000), "one does not tell");
    // By name, with or without the tag that Ollama adds by itself.
    for name in ["llama3.2", "llama3.2:latest", "home/llama3.2"] {
        assert_eq!(of(&catalogue, &routing, name), Some(8_000), "{name}");
    }
    assert_eq!(of(&catalogue, &routing, "nothing-like-it"), None);
    // The same model on two devices: either may have to answer, unless it is away.
    let mut other = known(
        "attic",
        true,
        &[UseFor::All],
        vec![Model { context_tokens: Some(4_000), ..model("qwen3", None) }],
    );
    other.online = false;
    catalogue.providers.push(other);
    assert_eq!(of(&catalogue, &routing, "qwen3"), Some(64_000));
    catalogue.providers[4].online = true;
    assert_eq!(of(&catalogue, &routing, "qwen3"), Some(4_000));
    // What a profile may not use does not count, nor what no price is known of under a cap.
    catalogue.providers[1].models[0].price = None;
    routing.caps.day_micros = Some(1);
    assert_eq!(of(&catalogue, &routing, "auto"), Some(128_000));
}

#[test]
fn whoever_reads_an_answer_hears_in_short_who_was_not_considered() {
    let (mut catalogue, routing) = (catalogue(), defaults());
    catalogue.providers[1].models[1].enabled = false;
    let short = |name: &str| {
        let choice = choose(&catalogue, &routing, name, &Needs::default(), &|_, _, _| true);
        let some = choice.unfit_in_short().into_iter();
        some.map(|one| (one.provider, one.model, one.because)).collect::<Vec<_>>()
    };
    let one = |provider: &str, model: &str, because| (provider.to_owned(), Some(model.to_owned()), because);
    // What embeds is not among them.
    let off = one("openai", "gpt-eyes", UnfitBecause::Disabled);
    assert_eq!(short("auto"), [off.clone(), one("hidden", "secret", UnfitBecause::UseFor)]);
    assert_eq!(
        short("auto:private"),
        [
            one("groq", "fast", UnfitBecause::NotPrivate),
            one("openai", "gpt-big", UnfitBecause::NotPrivate),
            off,
            one("hidden", "secret", UnfitBecause::NotPrivate)
        ]
    );
    // Several for one reason are one.
    catalogue.providers[1].models[1].enabled = true;
    let choice = choose(&catalogue, &routing, "auto:private", &Needs::default(), &|_, _, _| true);
    let of_openai = choice.unfit_in_short().remove(1);
    assert_eq!((of_openai.provider.as_str(), of_openai.model), ("openai", None));
}
