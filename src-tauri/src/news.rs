//! What the window should hear. News that come before a page listens wait for it; a page that went away loses none.

use std::{collections::VecDeque, sync::Mutex};

use tauri::ipc::Channel;

use crate::{commands::shell::AppNews, desk::unpoisoned};

/// More waiting news than this would only be old news.
const MOST_WAITING: usize = 16;

#[derive(Default)]
pub struct News(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    listener: Option<Channel<AppNews>>,
    waiting: VecDeque<AppNews>,
}

impl News {
    pub fn listen(&self, listener: Channel<AppNews>) {
        let mut inner = unpoisoned(&self.0);
        while let Some(news) = inner.waiting.pop_front() {
            let _ = listener.send(news);
        }
        inner.listener = Some(listener);
    }

    pub fn tell(&self, news: AppNews) {
        let mut inner = unpoisoned(&self.0);
        let sent = inner.listener.as_ref().is_some_and(|listener| listener.send(news.clone()).is_ok());
        if !sent && inner.waiting.len() < MOST_WAITING {
            inner.waiting.push_back(news);
        }
    }
}
