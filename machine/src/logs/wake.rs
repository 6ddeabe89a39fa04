//! Wakes a reader when a file may have changed: at once where the kernel says so, and after 250 ms in any case,
//! because network file systems say nothing of what others write.

use std::{path::Path, time::Duration};

/// The longest a change stays unseen.
const LOOK_EVERY: Duration = Duration::from_millis(250);

#[cfg(target_os = "linux")]
mod kernel {
    use std::{
        os::fd::{AsFd as _, AsRawFd, RawFd},
        path::Path,
    };

    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
    use tokio::io::unix::AsyncFd;

    struct Handle(Inotify);

    impl AsRawFd for Handle {
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_fd().as_raw_fd()
        }
    }

    /// Nothing when the user's watches are used up; looking from time to time then has to do.
    pub(super) struct Changes(Option<AsyncFd<Handle>>);

    impl Changes {
        #[expect(deprecated, reason = "the handle owns its descriptor and keeps it until it is dropped")]
        pub(super) fn new() -> Self {
            let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).ok();
            Self(inotify.and_then(|inotify| AsyncFd::new(Handle(inotify)).ok()))
        }

        pub(super) fn watch(&self, path: &Path, flags: AddWatchFlags) {
            if let Some(handle) = &self.0 {
                let _ = handle.get_ref().0.add_watch(path, flags);
            }
        }

        pub(super) async fn next(&self) {
            let Some(handle) = &self.0 else { return std::future::pending().await };
            if let Ok(mut ready) = handle.readable().await {
                // What changed is found by looking; the events only have to be gone.
                while handle.get_ref().0.read_events().is_ok_and(|events| !events.is_empty()) {}
                ready.clear_ready();
            }
        }
    }
}

/// See the module.
pub(super) struct Wake {
    #[cfg(target_os = "linux")]
    changes: kernel::Changes,
}

impl Wake {
    pub(super) fn new() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            changes: kernel::Changes::new(),
        }
    }

    /// Also when this file changes, or is replaced. Watched twice is watched once.
    pub(super) fn file(&self, path: &Path) {
        #[cfg(target_os = "linux")]
        {
            use nix::sys::inotify::AddWatchFlags as On;
            self.changes.watch(path, On::IN_MODIFY | On::IN_ATTRIB | On::IN_MOVE_SELF);
            if let Some(folder) = path.parent() {
                self.changes.watch(folder, On::IN_CREATE | On::IN_MOVED_TO);
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = path;
    }

    /// Also when anything in this directory changes.
    pub(super) fn folder(&self, path: &Path) {
        #[cfg(target_os = "linux")]
        {
            use nix::sys::inotify::AddWatchFlags as On;
            self.changes.watch(path, On::IN_CREATE | On::IN_MODIFY | On::IN_MOVED_TO);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = path;
    }

    /// Until something changed, or it is time to look anyway.
    pub(super) async fn wait(&self) {
        #[cfg(target_os = "linux")]
        let _ = tokio::time::timeout(LOOK_EVERY, self.changes.next()).await;
        #[cfg(not(target_os = "linux"))]
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
