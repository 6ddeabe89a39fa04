//! What travels with a notification of systems whose notifications outlive the app, and what a press there means. A
//! system that starts the app with a press gives back what it was given and nothing else.

use foreman_client::app::place_of;

use super::{Act, Card, Name};

/// A press on the notification itself.
const TAP: &str = "tap";
const DISMISSED: &str = "dismiss";

/// Of no server, so no thing's but by a chance of one in two thousand millions.
const TEST_PLACE: i32 = 1;

/// The same for the same thing at each start, so that a newer one takes the place of one from before and what holds no
/// longer is found. Never negative.
pub fn id_of(name: &Name) -> i32 {
    match name {
        Name::Thing(server, subject) => place_of(server, *subject),
        Name::Test => TEST_PLACE,
    }
}

/// The name as it is given along.
pub fn written(name: &Name) -> String {
    serde_json::to_string(name).unwrap_or_default()
}

/// Nothing of what another version wrote and this one does not know.
pub fn read(written: &str) -> Option<Name> {
    serde_json::from_str(written).ok()
}

/// What is pressed beside the notification itself: such a set is made known to the system by its name.
pub fn buttons(card: &Card) -> Vec<(&'static str, &str)> {
    card.acts
        .iter()
        .filter_map(|(act, words)| match act {
            Act::Open => None,
            Act::StopTask | Act::MuteDevice => Some((act.key(), words.as_str())),
        })
        .collect()
}

/// `guarded`: its person has to show who they are before what cannot be undone, which only the page asks. So there a
/// press that stops something opens it.
pub fn act_of(pressed: &str, guarded: bool) -> Option<Act> {
    match pressed {
        TAP => Some(Act::Open),
        DISMISSED => None,
        key => match Act::ALL.into_iter().find(|act| act.key() == key)? {
            Act::StopTask if guarded => Some(Act::Open),
            act => Some(act),
        },
    }
}

#[cfg(test)]
mod tests {
    use foreman_client::app::{ServerId, notices::Subject};
    use foreman_protocol::{DeviceId, TaskId};

    use super::*;

    #[test]
    fn a_thing_has_one_place_on_the_screen_at_every_start() {
        let server = ServerId::fresh();
        let device = DeviceId::fresh();
        let thing = |subject| Name::Thing(server.clone(), subject);
        let names = [
            thing(Subject::Reach(device)),
            thing(Subject::GpuMemory(device)),
            thing(Subject::Task(TaskId::fresh())),
            thing(Subject::Many),
            Name::Thing(ServerId::fresh(), Subject::Many),
            Name::Test,
        ];
        for name in &names {
            assert_eq!(read(&written(name)).as_ref(), Some(name), "what is given back is the same");
            assert!(id_of(name) >= 0);
            assert_eq!(names.iter().filter(|other| id_of(other) == id_of(name)).count(), 1);
        }
        assert_eq!(id_of(&Name::Test), id_of(&Name::Test));
        assert_eq!(read("{\"from\":\"elsewhere\"}"), None);
    }

    #[test]
    fn a_press_does_what_its_button_says_and_a_guarded_phone_asks_first() {
        assert_eq!(act_of("tap", false), Some(Act::Open));
        assert_eq!(act_of("stop", false), Some(Act::StopTask));
        assert_eq!(act_of("mute", false), Some(Act::MuteDevice));
        assert_eq!(act_of("dismiss", false), None);
        assert_eq!(act_of("of another version", false), None);
        assert_eq!(act_of("stop", true), Some(Act::Open), "the page asks who it is");
        assert_eq!(act_of("mute", true), Some(Act::MuteDevice), "that can be undone");
    }

    #[test]
    fn opening_is_no_button() {
        let words = |text: &str| text.to_owned();
        let acts = vec![(Act::Open, words("Open")), (Act::StopTask, words("Stop"))];
        let card = Card { title: words("t"), body: words("b"), acts, stays: false };
        assert_eq!(buttons(&card), [("stop", "Stop")]);
    }
}
