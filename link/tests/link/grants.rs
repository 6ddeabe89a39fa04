//! The device is the judge of grants: here a server forges, widens, replays and borrows them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use foreman_link::grant::{
    Issuer, LinkKeyError, LinkSecret, Revocations, Trust, read_grant, read_revocation, sign_grant,
    sign_link_key, sign_revocation, verify_grant, verify_link_key, verify_revocation,
};
use foreman_protocol::{Grant, GrantId, Level, LinkKey, RefusedBecause, Revocation, Revoked};
use proptest::prelude::*;

use crate::parties::{NOW, Parties};

fn judge(parties: &Parties, text: &str) -> Result<Grant, RefusedBecause> {
    parties.check(&parties.client.public(), &parties.hello_with(text.to_owned()))
}

#[test]
fn an_owners_grant_counts_until_it_expires() {
    let parties = Parties::new();
    let mut grant = parties.grant();
    let text = sign_grant(&grant, &parties.owner);
    assert_eq!(read_grant(&text).unwrap(), grant);
    assert_eq!(judge(&parties, &text), Ok(grant.clone()));
    assert_eq!(judge(&parties, &format!("{text}\n")), Ok(grant.clone()));
    grant.expires_at = NOW;
    assert_eq!(judge(&parties, &sign_grant(&grant, &parties.owner)), Err(RefusedBecause::Expired));
}

#[test]
fn a_server_cannot_make_one() {
    let parties = Parties::new();
    let server = Issuer::generate();
    let mut grant = parties.grant();
    // In the owner's name, with another key.
    assert_eq!(judge(&parties, &sign_grant(&grant, &server)), Err(RefusedBecause::Forged));
    // In its own name.
    grant.issuer = server.public();
    assert_eq!(judge(&parties, &sign_grant(&grant, &server)), Err(RefusedBecause::Forged));
    // With a revocation's signature under a grant's text.
    let revocation = Revocation {
        device: parties.identity.public(),
        revokes: Revoked::Grant(GrantId::fresh()),
        at: NOW,
        issuer: parties.owner.public(),
    };
    let signature = sign_revocation(&revocation, &parties.owner);
    let body = sign_grant(&parties.grant(), &server);
    let mixed = format!("{}.{}", body.split('.').next().unwrap(), signature.split('.').next_back().unwrap());
    assert_eq!(judge(&parties, &mixed), Err(RefusedBecause::Forged));
}

#[test]
fn a_server_cannot_widen_one() {
    let parties = Parties::new();
    let grant = parties.grant();
    let text = sign_grant(&grant, &parties.owner);
    let signature = text.split('.').next_back().unwrap();
    let widened = [
        Grant { level: Level::Admin, ..grant.clone() },
        Grant { expires_at: i64::MAX, ..grant.clone() },
        Grant { client: LinkSecret::generate().public(), ..grant.clone() },
        Grant { device: Issuer::generate().public(), ..grant.clone() },
        Grant { id: GrantId::fresh(), ..grant },
    ];
    for grant in widened {
        let text = format!("{}.{signature}", URL_SAFE_NO_PAD.encode(serde_json::to_vec(&grant).unwrap()));
        assert!(read_grant(&text).is_ok());
        assert_eq!(judge(&parties, &text), Err(RefusedBecause::Forged), "{grant:?}");
    }
}

#[test]
fn one_for_another_device_or_client_is_not_this_ones() {
    let (parties, other) = (Parties::new(), Parties::new());
    let elsewhere = Grant { device: other.identity.public(), ..parties.grant() };
    assert_eq!(judge(&parties, &sign_grant(&elsewhere, &parties.owner)), Err(RefusedBecause::Forged));
    let text = sign_grant(&parties.grant(), &parties.owner);
    let borrowed = parties.check(&other.client.public(), &parties.hello_with(text));
    assert_eq!(borrowed, Err(RefusedBecause::Forged));
}

#[test]
fn what_was_taken_back_stays_back() {
    let mut parties = Parties::new();
    let issuers = [parties.owner.public()];
    let device = parties.identity.public();
    let (grant, later) = (parties.grant(), parties.grant());
    let (text, later_text) = (sign_grant(&grant, &parties.owner), sign_grant(&later, &parties.owner));
    let take_back = |parties: &mut Parties, revokes| {
        let revocation =
            Revocation { device: device.clone(), revokes, at: NOW, issuer: parties.owner.public() };
        let text = sign_revocation(&revocation, &parties.owner);
        assert_eq!(read_revocation(&text).unwrap(), revocation);
        parties.revocations.insert(&verify_revocation(&text, &issuers, &device).unwrap())
    };
    assert!(take_back(&mut parties, Revoked::Grant(grant.id)));
    assert!(!take_back(&mut parties, Revoked::Grant(grant.id)));
    assert_eq!(judge(&parties, &text), Err(RefusedBecause::Revoked));
    assert_eq!(judge(&parties, &later_text), Ok(later));

    // A lost phone: all of its grants, whenever they were made. And it survives the device's file.
    let client = parties.client.public();
    assert!(take_back(&mut parties, Revoked::Client(client)));
    let file = serde_json::to_string(&parties.revocations).unwrap();
    parties.revocations = serde_json::from_str(&file).unwrap();
    assert_eq!(parties.revocations.len(), 2);
    assert_eq!(judge(&parties, &later_text), Err(RefusedBecause::Revoked));
    assert_eq!(judge(&parties, &sign_grant(&parties.grant(), &parties.owner)), Err(RefusedBecause::Revoked));
}

#[test]
fn only_a_trusted_key_takes_back_and_only_here() {
    let parties = Parties::new();
    let (issuers, device) = ([parties.owner.public()], parties.identity.public());
    let server = Issuer::generate();
    let revocation = |issuer: &Issuer, device: &str| Revocation {
        device: device.to_owned(),
        revokes: Revoked::Client(parties.client.public()),
        at: NOW,
        issuer: issuer.public(),
    };
    let judge = |text: String| verify_revocation(&text, &issuers, &device);
    assert!(judge(sign_revocation(&revocation(&parties.owner, &device), &parties.owner)).is_ok());
    for forged in [
        sign_revocation(&revocation(&server, &device), &server),
        sign_revocation(&revocation(&parties.owner, &device), &server),
        sign_revocation(&revocation(&parties.owner, &server.public()), &parties.owner),
    ] {
        assert_eq!(judge(forged), Err(RefusedBecause::Forged));
    }
}

#[test]
fn a_rotated_link_key_is_dead() {
    let (identity, stranger) = (Issuer::generate(), Issuer::generate());
    let (old, new) = (LinkSecret::generate(), LinkSecret::generate());
    let first = sign_link_key(old.public(), 1, &identity);
    let second = sign_link_key(new.public(), 2, &identity);
    let judge = |key: &LinkKey, seen: Option<&LinkKey>| verify_link_key(key, &identity.public(), seen);
    assert_eq!(judge(&first, None), Ok(old.public_bytes()));
    assert_eq!(judge(&first, Some(&first)), Ok(old.public_bytes()));
    assert_eq!(judge(&second, Some(&first)), Ok(new.public_bytes()));
    assert_eq!(judge(&first, Some(&second)), Err(LinkKeyError::Older { offered: 1, seen: 2 }));
    // Not the pinned device's, or raised by someone else.
    assert_eq!(judge(&sign_link_key(new.public(), 3, &stranger), None), Err(LinkKeyError::Forged));
    let mut raised = first.clone();
    raised.serial = 9;
    assert_eq!(judge(&raised, Some(&second)), Err(LinkKeyError::Forged));
    // Two keys cannot share a serial.
    let twin = sign_link_key(old.public(), 2, &identity);
    assert_eq!(judge(&twin, Some(&second)), Err(LinkKeyError::Forged));
}

#[test]
fn secrets_are_never_shown() {
    use base64::engine::general_purpose::STANDARD;
    let (issuer, secret) = (Issuer::generate(), LinkSecret::generate());
    let shown = format!("{issuer:?} {secret:?}");
    assert!(shown.contains(&issuer.public()) && shown.contains(&secret.public()));
    assert!(!shown.contains(&STANDARD.encode(*issuer.to_bytes())));
    assert!(!shown.contains(&STANDARD.encode(*secret.to_bytes())));
    assert_eq!(Issuer::from_bytes(&issuer.to_bytes()).public(), issuer.public());
    assert_eq!(LinkSecret::from_bytes(&secret.to_bytes()).public(), secret.public());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}|[A-Za-z0-9_-]{0,400}[.][A-Za-z0-9_-]{0,100}") {
        let parties = Parties::new();
        let _ = read_grant(&text);
        let _ = read_revocation(&text);
        prop_assert_eq!(judge(&parties, &text), Err(RefusedBecause::Forged));
    }

    #[test]
    fn a_changed_character_is_noticed(at: prop::sample::Index, to in "[A-Za-z0-9_.-]") {
        let parties = Parties::new();
        let text = sign_grant(&parties.grant(), &parties.owner);
        let at = at.index(text.len());
        let mut changed = text.clone();
        changed.replace_range(at..=at, &to);
        prop_assert_eq!(judge(&parties, &changed).is_ok(), changed == text);
    }
}

#[test]
fn nothing_trusted_nothing_taken() {
    let parties = Parties::new();
    let text = sign_grant(&parties.grant(), &parties.owner);
    let trust = Trust {
        issuers: &[],
        device: &parties.identity.public(),
        client: &parties.client.public(),
        now: NOW,
        revocations: &Revocations::default(),
    };
    assert_eq!(verify_grant(&text, &trust), Err(RefusedBecause::Forged));
}
