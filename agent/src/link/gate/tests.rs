use foreman_link::grant::{LinkSecret, sign_grant, sign_revocation};
use foreman_protocol::{CommandId, GrantId, Level, Revocation, Revoked};

use super::*;
use crate::link::trust::Dashboard;

struct House {
    _dir: tempfile::TempDir,
    state: State,
    identity: Issuer,
    owner: Issuer,
    gate: Arc<Gate>,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = State::at(dir.path().to_owned());
        let (identity, owner) = (Issuer::generate(), Issuer::generate());
        let mut trust = Trust::load_for_joining(&state.trust()).unwrap();
        trust.add(&owner.public(), Some("Mia"), 0);
        trust.server_link_key = Some(LinkSecret::generate().public());
        trust.save(&state.trust()).unwrap();
        let gate = Gate::new(&state, identity.clone(), &[]);
        Self { _dir: dir, state, identity, owner, gate }
    }

    fn grant(&self, level: Level) -> Grant {
        Grant {
            id: GrantId::fresh(),
            device: self.identity.public(),
            client: LinkSecret::generate().public(),
            name: "phone".to_owned(),
            level,
            issued_at: now(),
            expires_at: now() + 60_000,
            issuer: self.owner.public(),
        }
    }

    fn judge(&self, grant: &Grant, issuer: &Issuer) -> Result<Level, RefusedBecause> {
        self.gate.judge(&grant.client, &sign_grant(grant, issuer)).map(|grant| grant.level)
    }

    fn trust(&self, change: impl FnOnce(&mut Trust)) {
        let mut trust = Trust::load(&self.state.trust()).unwrap();
        change(&mut trust);
        trust.save(&self.state.trust()).unwrap();
    }

    fn revocation(&self, revokes: Revoked, issuer: &Issuer) -> Command {
        let revocation =
            Revocation { device: self.identity.public(), revokes, at: now(), issuer: issuer.public() };
        let action = CommandAction::Revoke { revocation: sign_revocation(&revocation, issuer) };
        Command { id: CommandId::fresh(), seq: 1, action }
    }
}

fn is_ended(admission: &mut Admission) -> bool {
    futures_util::FutureExt::now_or_never(admission.ended()).is_some()
}

#[test]
fn only_owners_say_who_comes_in_and_only_while_they_are_owners() {
    let house = House::new();
    let grant = house.grant(Level::Operate);
    assert_eq!(house.judge(&grant, &house.owner), Ok(Level::Operate));
    let stranger = Issuer::generate();
    assert_eq!(house.judge(&grant, &stranger), Err(RefusedBecause::Forged));
    let expired = Grant { expires_at: now() - 1, ..grant.clone() };
    assert_eq!(house.judge(&expired, &house.owner), Err(RefusedBecause::Expired));

    let mut admission = house.gate.open(grant.clone(), &house.gate.lock().unwrap()).unwrap();
    assert!(!is_ended(&mut admission));
    house.trust(|trust| drop(trust.remove("Mia")));
    assert_eq!(house.judge(&grant, &house.owner), Err(RefusedBecause::Forged));
    assert!(is_ended(&mut admission));
    assert!(house.gate.open(grant, &house.gate.lock().unwrap()).is_none());
}

fn now() -> Millis {
    foreman_machine::run::Moment::now().wall_ms
}

#[test]
fn a_right_that_ended_stays_so_when_the_clock_is_set_back() {
    let house = House::new();
    let grant = Grant { expires_at: now() + 3_600_000, ..house.grant(Level::View) };
    assert_eq!(house.judge(&grant, &house.owner), Ok(Level::View));
    // It was two hours later already, and the grant's end passed.
    std::fs::write(house.state.link_time(), (now() + 7_200_000).to_string()).unwrap();
    let later = Gate::new(&house.state, house.identity.clone(), &[]);
    let signed = sign_grant(&grant, &house.owner);
    assert_eq!(later.judge(&grant.client, &signed).unwrap_err(), RefusedBecause::Expired);
    let lock = later.lock().unwrap();
    assert!(later.open(grant, &lock).is_none(), "not even between judging and opening");
    let signed = later.facts(Vec::new(), None).unwrap().server_grant.unwrap();
    let servers = grant::read_grant(&signed).unwrap();
    assert!(later.judge(&servers.client, &signed).is_ok(), "what is made now counts now");
}

#[tokio::test]
async fn an_open_link_ends_with_its_right_without_anybody_calling() {
    let house = House::new();
    let lock = house.gate.lock().unwrap();
    let lasting = house.grant(Level::View);
    let mut stays = house.gate.open(lasting, &lock).unwrap();
    let short = Grant { expires_at: now() + 2_000, ..house.grant(Level::View) };
    let mut admission = house.gate.open(short.clone(), &lock).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(60), admission.ended());
    tokio::select! {
        () = house.gate.watch() => panic!("it watches for ever"),
        ended = ended => ended.expect("nobody ended it"),
    }
    assert!(now() >= short.expires_at, "not before its time");
    assert!(!is_ended(&mut stays));
}

#[test]
fn a_damaged_trust_file_lets_nobody_in() {
    let house = House::new();
    let grant = house.grant(Level::View);
    std::fs::write(house.state.trust(), "{").unwrap();
    assert_eq!(house.judge(&grant, &house.owner), Err(RefusedBecause::Forged));
    assert!(house.gate.tasks_allowed().is_err());
}

#[test]
fn what_is_missing_is_not_trusted() {
    let house = House::new();
    let grant = house.grant(Level::View);
    let signed = house.gate.facts(Vec::new(), None).unwrap().server_grant.unwrap();
    let servers = grant::read_grant(&signed).unwrap();
    let mut admission = house.gate.open(servers.clone(), &house.gate.lock().unwrap()).unwrap();
    std::fs::remove_file(house.state.trust()).unwrap();
    // Somebody else's, that says it is this device's server.
    house.gate.meet_server(&LinkSecret::generate().public());
    assert!(!house.state.trust().exists());
    assert_eq!(house.judge(&grant, &house.owner), Err(RefusedBecause::Forged));
    assert_eq!(house.gate.judge(&servers.client, &signed), Err(RefusedBecause::Revoked));
    assert!(is_ended(&mut admission) && !house.gate.server_may_look());
    assert!(house.gate.tasks_allowed().unwrap_err().contains("is not trusted on this device"));
    let facts = house.gate.facts(Vec::new(), None).unwrap();
    assert_eq!((facts.server_grant, facts.link.server_level), (None, None));
}

#[test]
fn the_server_gets_what_this_device_says_and_nobody_can_stand_in_for_it() {
    let house = House::new();
    let facts = house.gate.facts(Vec::new(), None).unwrap();
    assert_eq!(facts.link.server_level, Some(Level::Operate));
    let signed = facts.server_grant.unwrap();
    let grant = grant::read_grant(&signed).unwrap();
    assert_eq!(house.gate.judge(&grant.client, &signed).unwrap().level, Level::Operate);
    assert!(house.gate.judge(&LinkSecret::generate().public(), &signed).is_err());
    assert_eq!(house.gate.facts(Vec::new(), None).unwrap().server_grant, Some(signed.clone()));

    let again = Gate::new(&house.state, house.identity.clone(), &[]);
    assert_eq!(
        again.facts(Vec::new(), None).unwrap().server_grant,
        Some(signed.clone()),
        "a start is no news"
    );

    let mut admission = house.gate.open(grant.clone(), &house.gate.lock().unwrap()).unwrap();
    house.trust(|trust| trust.dashboard = Dashboard::View);
    assert_eq!(
        house.gate.judge(&grant.client, &signed).unwrap().level,
        Level::View,
        "the old grant gives less"
    );
    assert!(is_ended(&mut admission));
    assert!(house.gate.tasks_allowed().unwrap_err().contains("trust dashboard operate"));
    house.trust(|trust| trust.dashboard = Dashboard::None);
    assert_eq!(house.gate.judge(&grant.client, &signed), Err(RefusedBecause::Revoked));
    let facts = house.gate.facts(Vec::new(), None).unwrap();
    assert_eq!((facts.server_grant, facts.link.server_level), (None, None));
}

#[test]
fn nobody_gets_more_than_they_ask_for() {
    let house = House::new();
    house.trust(|trust| trust.dashboard = Dashboard::Admin);
    let signed = house.gate.facts(Vec::new(), None).unwrap().server_grant.unwrap();
    let client = grant::read_grant(&signed).unwrap().client;
    let level = |at_most: Option<Level>| {
        let hello = Hello { at_most, ..Hello::new(signed.clone(), "server") };
        house.gate.judge_hello(&client, &hello).unwrap().level
    };
    assert_eq!(level(None), Level::Admin);
    for most in [Level::View, Level::Operate, Level::Admin] {
        assert_eq!(level(Some(most)), most);
    }
    house.trust(|trust| trust.dashboard = Dashboard::View);
    assert_eq!(level(Some(Level::Admin)), Level::View, "asking for more gives no more");
}

#[test]
fn an_owner_takes_back_and_nobody_else() {
    let house = House::new();
    let grant = house.grant(Level::Admin);
    let mut admission = house.gate.open(grant.clone(), &house.gate.lock().unwrap()).unwrap();
    let forged = house.revocation(Revoked::Grant(grant.id), &Issuer::generate());
    let real = house.revocation(Revoked::Grant(grant.id), &house.owner);
    let mut commands = [Ok(forged), Ok(real.clone())];
    house.gate.sift(&mut commands);
    let [Ok(forged), Ok(kept)] = &commands else { panic!("{commands:?}") };
    assert_eq!((&forged.action, &kept.action), (&CommandAction::Unknown, &real.action));
    assert!(!is_ended(&mut admission));

    let CommandAction::Revoke { revocation } = &real.action else { panic!() };
    house.gate.revoke(revocation);
    house.gate.revoke(revocation);
    assert!(is_ended(&mut admission));
    assert_eq!(house.judge(&grant, &house.owner), Err(RefusedBecause::Revoked));
    let later = Gate::new(&house.state, house.identity.clone(), std::slice::from_ref(revocation));
    assert_eq!(
        later.judge(&grant.client, &sign_grant(&grant, &house.owner)).unwrap_err(),
        RefusedBecause::Revoked
    );
}

#[test]
fn a_server_whose_grant_an_owner_took_back_gets_no_new_one() {
    let house = House::new();
    let signed = house.gate.facts(Vec::new(), None).unwrap().server_grant.unwrap();
    let id = grant::read_grant(&signed).unwrap().id;
    let command = house.revocation(Revoked::Grant(id), &house.owner);
    let CommandAction::Revoke { revocation } = &command.action else { panic!() };
    house.gate.revoke(revocation);
    assert!(house.gate.facts(Vec::new(), None).unwrap().server_grant.is_none());
    assert!(house.gate.tasks_allowed().unwrap_err().contains("took the server's right back"));
}

#[test]
fn a_server_whose_key_an_owner_took_back_is_told_what_helps() {
    let house = House::new();
    let key = Trust::load(&house.state.trust()).unwrap().server_link_key.unwrap();
    let command = house.revocation(Revoked::Client(key), &house.owner);
    let CommandAction::Revoke { revocation } = &command.action else { panic!() };
    house.gate.revoke(revocation);
    let said = house.gate.tasks_allowed().unwrap_err();
    assert!(said.contains("foreman-agent disconnect") && !said.contains("trust dashboard"), "{said}");
    // What is not advised does not help.
    let what = crate::trusting::Trusting::Dashboard(Dashboard::Operate);
    crate::trusting::change(&house.state, what).unwrap();
    assert!(house.gate.facts(Vec::new(), None).unwrap().server_grant.is_none());
}

#[test]
fn a_rotated_key_closes_everything() {
    let house = House::new();
    let grant = house.grant(Level::View);
    let lock = house.gate.lock().unwrap();
    let mut admission = house.gate.open(grant.clone(), &lock).unwrap();
    let mut changes = house.gate.changes();
    changes.mark_unchanged();
    LinkKeys::rotate(&house.state.link_key(), 0).unwrap();
    assert_eq!(house.gate.lock().unwrap().serial, lock.serial + 1);
    assert!(is_ended(&mut admission) && changes.has_changed().unwrap());
    assert!(house.gate.open(grant, &lock).is_none(), "who came by the old key is too late");
}

#[test]
fn a_server_that_had_no_link_key_is_met_once() {
    let house = House::new();
    house.trust(|trust| trust.server_link_key = None);
    let (first, second) = (LinkSecret::generate().public(), LinkSecret::generate().public());
    house.gate.meet_server("not a key");
    assert_eq!(Trust::load(&house.state.trust()).unwrap().server_link_key, None);
    house.gate.meet_server(&first);
    house.gate.meet_server(&second);
    let kept = Trust::load(&house.state.trust()).unwrap();
    assert_eq!((kept.server_link_key.as_ref(), kept.owners.len()), (Some(&first), 1));
    assert_eq!(house.gate.current().trust, kept);

    std::fs::write(house.state.trust(), "broken").unwrap();
    house.gate.meet_server(&second);
    assert_eq!(std::fs::read_to_string(house.state.trust()).unwrap(), "broken");
}
