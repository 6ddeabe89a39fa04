//! What was spent, added up by day, month and key, and the caps on it. In memory, so that no request waits for a sum.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::RangeInclusive,
};

use foreman_protocol::{CapPeriod, Millis, ModelKeyId, ProblemCode, SpendCaps, TenantId};
use serde_json::json;
use sqlx::Row;

use super::{Entry, Held};
use crate::{
    auth::parse,
    db::Db,
    problem::{ApiError, ApiResult},
};

pub const DAY_MS: i64 = 86_400_000;

/// A limit on what one key or everybody may spend in a period.
#[derive(Debug, Clone)]
pub struct Cap {
    pub tenant: TenantId,
    pub key: Option<ModelKeyId>,
    /// The key's.
    pub name: Option<String>,
    pub period: CapPeriod,
    pub micros: i64,
}

/// The caps a request is under.
pub fn caps(tenant: TenantId, caps: &SpendCaps, key: Option<&Held>) -> Vec<Cap> {
    let of_all = [(CapPeriod::Day, caps.day_micros), (CapPeriod::Month, caps.month_micros)];
    let of_all = of_all
        .into_iter()
        .filter_map(|(period, micros)| Some(Cap { tenant, key: None, name: None, period, micros: micros? }));
    let of_key = key.and_then(|key| {
        let (id, name) = (Some(key.id), Some(key.name.clone()));
        Some(Cap { tenant, key: id, name, period: key.cap_period, micros: key.cap_micros? })
    });
    of_key.into_iter().chain(of_all).collect()
}

impl Cap {
    /// What it is called among announcements.
    pub fn id(&self) -> String {
        let period = match self.period {
            CapPeriod::Day => "day",
            CapPeriod::Month => "month",
            CapPeriod::Ever => "ever",
        };
        match self.key {
            // A cap that was raised and is reached again is told again.
            Some(key) => format!("{key} {period} {}", self.micros),
            None => format!("{period} {}", self.micros),
        }
    }

    /// The running period.
    pub fn period_number(&self, now: Millis) -> i64 {
        match self.period {
            CapPeriod::Day => now.div_euclid(DAY_MS),
            CapPeriod::Month => month_start(now.div_euclid(DAY_MS)),
            CapPeriod::Ever => 0,
        }
    }

    fn resets_at(&self, now: Millis) -> Option<Millis> {
        let day = now.div_euclid(DAY_MS);
        match self.period {
            CapPeriod::Day => Some((day + 1) * DAY_MS),
            CapPeriod::Month => Some(month_start(month_start(day) + 31) * DAY_MS),
            CapPeriod::Ever => None,
        }
    }

    fn refusal(&self, spent: i64, now: Millis) -> ApiError {
        let dollars = |micros: i64| format!("{:.2} $", micros as f64 / 1e6);
        let (whose, word) = match (self.key.is_some(), self.period) {
            (true, CapPeriod::Day) => ("This key", "key_day"),
            (true, CapPeriod::Month) => ("This key", "key_month"),
            (true, CapPeriod::Ever) => ("This key", "key_ever"),
            (false, CapPeriod::Day) => ("This Foreman", "day"),
            (false, _) => ("This Foreman", "month"),
        };
        let when = match self.period {
            CapPeriod::Day => " a day",
            CapPeriod::Month => " a month",
            CapPeriod::Ever => "",
        };
        let said = format!(
            "{whose} may spend {}{when} on models and has spent {}. Nothing was sent.",
            dollars(self.micros),
            dollars(spent)
        );
        ApiError::new(ProblemCode::SpendCapReached, said).with(json!({
            "cap": word,
            "cap_micros": self.micros,
            "spent_micros": spent,
            "resets_at": self.resets_at(now),
        }))
    }
}

/// The first day of a day's month, in days since the epoch, UTC.
///
/// After Howard Hinnant's `civil_from_days`: years begin in March, so that the odd month is the last.
pub fn month_start(day: i64) -> i64 {
    let shifted = day + 719_468;
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5;
    day - of_month
}

/// Micro-dollars of each day, by key.
type Days = HashMap<(TenantId, Option<ModelKeyId>), BTreeMap<i64, i64>>;
type Ever = HashMap<(TenantId, ModelKeyId), i64>;

/// Sums from rows, and what ended since they were read.
#[derive(Debug, Default)]
pub struct Spend {
    /// Of the running month and the day before it. Keys' own, and under no key everything together.
    days: Days,
    ever: Ever,
    waiting_days: Days,
    waiting_ever: Ever,
    announced: HashSet<(String, i64)>,
}

impl Spend {
    /// The sums as the rows have them.
    pub async fn read(db: &Db, now: Millis) -> ApiResult<Self> {
        let mut spend = Self::default();
        let month = month_start(now.div_euclid(DAY_MS));
        let rows = sqlx::query("SELECT tenant_id, key_id, day, cost_micros FROM model_spend WHERE day >= $1")
            .bind(month - 1)
            .fetch_all(db.read())
            .await?;
        for row in &rows {
            let tenant: TenantId = parse(&row.try_get::<String, _>(0)?)?;
            let key: String = row.try_get(1)?;
            let (day, cost) = (row.try_get(2)?, row.try_get(3)?);
            add(&mut spend.days, tenant, None, day, cost);
            if !key.is_empty() {
                add(&mut spend.days, tenant, Some(parse(&key)?), day, cost);
            }
        }
        // Only for the keys that are capped for ever.
        let rows = sqlx::query(
            "SELECT s.tenant_id, s.key_id, CAST(SUM(s.cost_micros) AS BIGINT) FROM model_spend s \
             JOIN model_keys k ON k.id = s.key_id WHERE k.cap_period = 'ever' GROUP BY s.tenant_id, s.key_id",
        )
        .fetch_all(db.read())
        .await?;
        for row in &rows {
            let (tenant, key): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            spend.ever.insert((parse(&tenant)?, parse(&key)?), row.try_get(2)?);
        }
        Ok(spend)
    }

    /// A request ended here and is no row yet.
    pub fn add(&mut self, entry: &Entry) {
        self.wait(entry, 1);
    }

    fn wait(&mut self, entry: &Entry, sign: i64) {
        let cost = sign * entry.cost_micros.unwrap_or(0);
        if cost == 0 {
            return;
        }
        add(&mut self.waiting_days, entry.tenant, None, entry.day(), cost);
        if let Some(key) = entry.key {
            add(&mut self.waiting_days, entry.tenant, Some(key), entry.day(), cost);
            *self.waiting_ever.entry((entry.tenant, key)).or_insert(0) += cost;
        }
    }

    /// Takes sums that were read after these became rows.
    pub fn renew<'e>(&mut self, fresh: Self, rows: impl Iterator<Item = &'e Entry>) {
        for entry in rows {
            self.wait(entry, -1);
        }
        self.waiting_days.retain(|_, days| {
            days.retain(|_, cost| *cost != 0);
            !days.is_empty()
        });
        self.waiting_ever.retain(|_, cost| *cost != 0);
        self.days = fresh.days;
        self.ever = fresh.ever;
    }

    /// These became rows, and the sums could not be read: they count as if they had been.
    pub fn keep<'e>(&mut self, rows: impl Iterator<Item = &'e Entry>) {
        for entry in rows {
            self.wait(entry, -1);
            let cost = entry.cost_micros.unwrap_or(0);
            add(&mut self.days, entry.tenant, None, entry.day(), cost);
            if let Some(key) = entry.key {
                add(&mut self.days, entry.tenant, Some(key), entry.day(), cost);
                *self.ever.entry((entry.tenant, key)).or_insert(0) += cost;
            }
        }
    }

    /// Micro-dollars in the running period.
    pub fn of(&self, tenant: TenantId, key: Option<ModelKeyId>, period: CapPeriod, now: Millis) -> i64 {
        let today = now.div_euclid(DAY_MS);
        let on = |when: RangeInclusive<i64>| -> i64 {
            let of = |days: &Days| {
                let days = days.get(&(tenant, key))?;
                Some(days.range(when.clone()).map(|(_, cost)| cost).sum::<i64>())
            };
            of(&self.days).unwrap_or(0) + of(&self.waiting_days).unwrap_or(0)
        };
        match (period, key) {
            (CapPeriod::Day, _) => on(today..=today),
            (CapPeriod::Month, _) => on(month_start(today)..=today),
            (CapPeriod::Ever, Some(key)) => {
                let at = (tenant, key);
                self.ever.get(&at).unwrap_or(&0) + self.waiting_ever.get(&at).unwrap_or(&0)
            }
            (CapPeriod::Ever, None) => 0,
        }
    }

    /// What a request gets that is under these caps, when one of them is reached. Of several it is the one that is
    /// reached for longest: who comes again when another is free would be refused again.
    pub fn reached(&self, caps: &[Cap], now: Millis) -> Option<ApiError> {
        let spent = |cap: &Cap| self.of(cap.tenant, cap.key, cap.period, now);
        // The last of those that end together is taken, and a key's own cap is the first.
        let reached = caps.iter().rev().filter(|cap| spent(cap) >= cap.micros);
        let longest = reached.max_by_key(|cap| cap.resets_at(now).unwrap_or(Millis::MAX))?;
        Some(longest.refusal(spent(longest), now))
    }

    pub fn is_announced(&self, cap: &Cap, now: Millis) -> bool {
        self.announced.contains(&(cap.id(), cap.period_number(now)))
    }

    pub fn note_announced(&mut self, cap: &Cap, now: Millis) {
        // Those of last month are of no use; the rows remember them.
        if self.announced.len() > 10_000 {
            self.announced.clear();
        }
        self.announced.insert((cap.id(), cap.period_number(now)));
    }
}

fn add(days: &mut Days, tenant: TenantId, key: Option<ModelKeyId>, day: i64, cost: i64) {
    *days.entry((tenant, key)).or_default().entry(day).or_insert(0) += cost;
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: i64 = 20_778;
    /// 2026-11-01.
    const FIRST: i64 = 20_758;

    #[test]
    fn what_was_spent_counts_until_its_day_or_month_is_over() {
        let (tenant, key) = (TenantId::fresh(), ModelKeyId::fresh());
        let mut spend = Spend::default();
        for (day, cost) in [(FIRST - 1, 1_000), (FIRST, 100), (TODAY, 10)] {
            add(&mut spend.days, tenant, None, day, cost);
            add(&mut spend.days, tenant, Some(key), day, cost);
        }
        // This one is no row yet.
        add(&mut spend.waiting_days, tenant, Some(key), TODAY, 1);
        let last = |day: i64| (day + 1) * DAY_MS - 1;
        for (period, now, spent) in [
            (CapPeriod::Day, last(TODAY), 11),
            (CapPeriod::Day, last(TODAY) + 1, 0),
            (CapPeriod::Month, last(TODAY), 111),
            (CapPeriod::Month, last(FIRST + 29), 111),
            (CapPeriod::Month, last(FIRST + 29) + 1, 0),
            (CapPeriod::Day, last(FIRST - 1), 1_000),
            (CapPeriod::Month, last(FIRST - 1), 1_000),
            (CapPeriod::Month, FIRST * DAY_MS, 100),
        ] {
            assert_eq!(spend.of(tenant, Some(key), period, now), spent, "{period:?} at {now}");
        }
        assert_eq!(spend.of(tenant, None, CapPeriod::Month, last(TODAY)), 110);
        assert_eq!(spend.of(tenant, Some(ModelKeyId::fresh()), CapPeriod::Month, last(TODAY)), 0);
    }

    #[test]
    fn a_keys_cap_of_a_month_is_reached_and_free_again_with_the_next() {
        let (tenant, key) = (TenantId::fresh(), ModelKeyId::fresh());
        let mut spend = Spend::default();
        add(&mut spend.days, tenant, Some(key), FIRST, 500);
        let cap = Cap { tenant, key: Some(key), name: None, period: CapPeriod::Month, micros: 500 };
        let end = (FIRST + 30) * DAY_MS;
        let reached = |cap: &Cap, now| spend.reached(std::slice::from_ref(cap), now);
        let details = reached(&cap, end - 1).and_then(|refused| refused.details).unwrap();
        assert_eq!((&details["cap"], &details["spent_micros"]), (&"key_month".into(), &500.into()));
        assert_eq!(details["resets_at"], end, "with the first moment of December");
        assert!(reached(&cap, end).is_none());
        assert!(reached(&Cap { micros: 501, ..cap.clone() }, end - 1).is_none());
        // It is told once for each period.
        spend.note_announced(&cap, end - 1);
        assert!(spend.is_announced(&cap, FIRST * DAY_MS) && !spend.is_announced(&cap, end));
    }

    #[test]
    fn of_several_caps_the_one_is_told_that_is_reached_for_longest() {
        let (tenant, key) = (TenantId::fresh(), ModelKeyId::fresh());
        let mut spend = Spend::default();
        add(&mut spend.days, tenant, None, TODAY, 500);
        add(&mut spend.days, tenant, Some(key), TODAY, 500);
        spend.ever.insert((tenant, key), 500);
        let of = |key, period, micros| Cap { tenant, key, name: None, period, micros };
        let (day, month) = (of(None, CapPeriod::Day, 500), of(None, CapPeriod::Month, 500));
        let keys = |period| of(Some(key), period, 500);
        let free = of(None, CapPeriod::Month, 501);
        let told = |caps: &[&Cap]| {
            let caps: Vec<Cap> = caps.iter().map(|cap| (*cap).clone()).collect();
            let details = spend.reached(&caps, TODAY * DAY_MS).and_then(|refused| refused.details).unwrap();
            details["cap"].as_str().unwrap().to_owned()
        };
        assert_eq!(told(&[&day, &month]), "month");
        assert_eq!(told(&[&day, &free]), "day");
        assert_eq!(told(&[&keys(CapPeriod::Day), &day, &month]), "month");
        assert_eq!(told(&[&keys(CapPeriod::Month), &day, &month]), "key_month", "both end together");
        assert_eq!(told(&[&keys(CapPeriod::Ever), &day, &month]), "key_ever");
    }
}
