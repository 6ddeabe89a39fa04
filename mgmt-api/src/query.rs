//! Filters for lists: a `WHERE` made of bound values only, the same text on both databases.

use foreman_protocol::{MAX_PAGE, Page};
use serde::Deserialize;
use sqlx::any::AnyRow;
use utoipa::IntoParams;

use crate::{db::Db, problem::ApiResult};

enum Value {
    Text(String),
    Number(i64),
}

/// Conditions joined by AND. Column names come from the code, values are always bound.
pub struct Filter {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Filter {
    pub fn new(condition: &'static str, value: String) -> Self {
        let mut filter = Self { conditions: Vec::new(), values: Vec::new() };
        filter.text(condition, value);
        filter
    }

    pub fn text(&mut self, condition: &'static str, value: String) {
        self.bind(condition, "", Value::Text(value));
    }

    pub fn number(&mut self, condition: &'static str, value: i64) {
        self.bind(condition, "", Value::Number(value));
    }

    /// `column` begins with `prefix`, taken literally.
    pub fn starts_with(&mut self, column: &'static str, prefix: &str) {
        self.bind(
            &format!("{column} LIKE"),
            " ESCAPE '\\'",
            Value::Text(format!("{}%", escape_like(prefix))),
        );
    }

    /// `column` has `part` somewhere, whatever the case of ASCII letters, taken literally.
    pub fn contains(&mut self, column: &'static str, part: &str) {
        let pattern = format!("%{}%", escape_like(&part.to_lowercase()));
        self.bind(&format!("lower({column}) LIKE"), " ESCAPE '\\'", Value::Text(pattern));
    }

    /// `column` is one of the values.
    pub fn one_of(&mut self, column: &'static str, values: impl IntoIterator<Item = &'static str>) {
        let first = self.values.len() + 1;
        let values: Vec<_> = values.into_iter().map(|value| Value::Text(value.to_owned())).collect();
        self.conditions.push(format!("{column} IN ({})", crate::db::placeholders(first, values.len())));
        self.values.extend(values);
    }

    fn bind(&mut self, condition: &str, suffix: &str, value: Value) {
        self.values.push(value);
        self.conditions.push(format!("{condition} ${}{suffix}", self.values.len()));
    }

    pub fn sql(&self) -> String {
        self.conditions.join(" AND ")
    }

    /// Runs `sql`, which contains [`Filter::sql`], with the values bound.
    pub async fn fetch(self, db: &Db, sql: String) -> ApiResult<Vec<AnyRow>> {
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for value in self.values {
            query = match value {
                Value::Text(text) => query.bind(text),
                Value::Number(number) => query.bind(number),
            };
        }
        Ok(query.fetch_all(db.read()).await?)
    }
}

/// `text` so that LIKE with `ESCAPE '\'` takes it literally.
pub fn escape_like(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_").replace('\0', "")
}

/// `limit` and `cursor` of a list. Ids sort by the time they were made, so the last id is the cursor.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
pub struct Paging {
    /// 1 to 200; 50 when absent.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

impl Paging {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(50).clamp(1, MAX_PAGE) as usize
    }

    /// Rows to ask for: one more than shown, to know whether there is a next page.
    pub fn fetch(&self) -> usize {
        self.limit() + 1
    }

    /// Continues where the page before ended.
    pub fn after(&self, filter: &mut Filter, condition: &'static str) {
        if let Some(cursor) = &self.cursor {
            filter.text(condition, cursor.replace('\0', ""));
        }
    }

    pub fn page<T>(&self, mut items: Vec<T>, id: impl Fn(&T) -> String) -> Page<T> {
        let more = items.len() > self.limit();
        items.truncate(self.limit());
        let next = items.last().filter(|_| more).map(id);
        Page { items, next }
    }
}
