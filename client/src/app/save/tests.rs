use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use futures_util::stream;

use super::*;

/// How somebody answers once.
#[derive(Clone, Copy)]
struct Answers {
    /// Bytes of the body before it breaks off; all of it when absent.
    until: Option<usize>,
    mark: Option<&'static str>,
}

const WHOLE: Answers = Answers { until: None, mark: Some("\"a\"") };

/// What a file's other side does: takes ranges of a file it knows the mark of, and breaks off as it is told.
fn answer(content: &'static [u8], asked: &HeaderMap, how: Answers) -> RawAnswer {
    let text = |name: HeaderName| asked.get(name).map(|value| value.to_str().unwrap().to_owned());
    let same = how.mark.is_some() && text(IF_RANGE).as_deref() == how.mark;
    let start = text(RANGE).filter(|_| same).map_or(0, |range| {
        range.trim_start_matches("bytes=").trim_end_matches('-').parse::<usize>().unwrap()
    });
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, value: String| headers.insert(name, value.parse().unwrap());
    if let Some(mark) = how.mark {
        set(ETAG, mark.to_owned());
    }
    set(CONTENT_LENGTH, (content.len() - start).to_string());
    if start > 0 {
        set(CONTENT_RANGE, format!("bytes {start}-{}/{}", content.len() - 1, content.len()));
    }
    set(CONTENT_DISPOSITION, "attachment; filename=\"told.bin\"".to_owned());
    let end = how.until.map_or(content.len(), |until| (start + until).min(content.len()));
    let mut pieces: Vec<_> =
        content[start..end].chunks(3).map(|piece| Ok(Bytes::from_static(piece))).collect();
    if how.until.is_some() {
        pieces.push(Err(Error::Unreachable { message: "cut".to_owned() }));
    }
    RawAnswer { status: if start > 0 { 206 } else { 200 }, headers, body: stream::iter(pieces).boxed() }
}

fn begun(folder: &Path, name: Option<&str>) -> Saving {
    let mut saving = Saving::begin(folder, name, |_| ()).unwrap();
    saving.pause = Duration::from_millis(1);
    saving
}

fn left(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

const CONTENT: &[u8] = b"0123456789abcdefghij";

#[tokio::test]
async fn what_breaks_off_goes_on_where_it_stood() {
    let folder = tempfile::tempdir().unwrap();
    let mut saving = begun(folder.path(), None);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let ask = move |headers: HeaderMap| {
        let number = count.fetch_add(1, SeqCst);
        if number > 0 {
            assert_eq!(headers[RANGE], format!("bytes={}-", number * 6).as_str());
        }
        let how = Answers { until: (number < 3).then_some(6), ..WHOLE };
        async move { Ok(answer(CONTENT, &headers, how)) }
    };
    let mut heard = Vec::new();
    let stop = CancellationToken::new();
    saving.take(ask, &stop, |now| heard.push(now.progress().received)).await.unwrap();
    assert_eq!(asked.load(SeqCst), 4);
    assert_eq!((heard.first(), heard.last()), (Some(&0), Some(&20)));
    assert!(heard.is_sorted());
    assert_eq!(left(folder.path()).len(), 1, "only the part is there");
    let path = saving.finish().unwrap();
    assert_eq!(path, folder.path().join("told.bin"));
    assert_eq!(fs::read(path).unwrap(), CONTENT);
    assert_eq!(left(folder.path()), ["told.bin"]);
}

#[tokio::test]
async fn a_file_that_became_another_one_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut saving = begun(folder.path(), Some("kept.bin"));
    let asked = Arc::new(AtomicUsize::new(0));
    let ask = move |headers: HeaderMap| {
        let first = asked.fetch_add(1, SeqCst) == 0;
        async move {
            Ok(match first {
                true => answer(
                    b"another, longer than the later one",
                    &headers,
                    Answers { until: Some(30), ..WHOLE },
                ),
                false => answer(CONTENT, &headers, Answers { until: None, mark: Some("\"b\"") }),
            })
        }
    };
    saving.take(ask, &CancellationToken::new(), |_| ()).await.unwrap();
    assert_eq!(fs::read(saving.finish().unwrap()).unwrap(), CONTENT);
    assert_eq!(left(folder.path()), ["kept.bin"]);
}

#[tokio::test]
async fn without_a_mark_nothing_is_pieced_together() {
    let folder = tempfile::tempdir().unwrap();
    let mut saving = begun(folder.path(), Some("task.log"));
    let asked = Arc::new(AtomicUsize::new(0));
    let ask = move |headers: HeaderMap| {
        assert!(!headers.contains_key(RANGE));
        let first = asked.fetch_add(1, SeqCst) == 0;
        async move { Ok(answer(CONTENT, &headers, Answers { until: first.then_some(9), mark: None })) }
    };
    saving.take(ask, &CancellationToken::new(), |_| ()).await.unwrap();
    assert_eq!(fs::read(saving.finish().unwrap()).unwrap(), CONTENT);
}

#[tokio::test]
async fn stopped_it_can_go_on_and_dropped_it_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut saving = begun(folder.path(), Some("kept.bin"));
    let stop = CancellationToken::new();
    let ask = |headers: HeaderMap| async move { Ok(answer(CONTENT, &headers, WHOLE)) };
    let error = saving
        .take(ask, &stop, |now| {
            if now.progress().received >= 9 {
                stop.cancel();
            }
        })
        .await
        .unwrap_err();
    assert!(matches!(error, SaveError::Stopped));
    assert_eq!(saving.progress(), Progress { received: 9, total: Some(20) });
    let on = |headers: HeaderMap| async move {
        assert_eq!(headers[RANGE], "bytes=9-");
        Ok(answer(CONTENT, &headers, WHOLE))
    };
    saving.take(on, &CancellationToken::new(), |_| ()).await.unwrap();
    assert_eq!(fs::read(saving.finish().unwrap()).unwrap(), CONTENT);

    let mut dropped = begun(folder.path(), Some("dropped.bin"));
    let _ = dropped.take(ask, &CancellationToken::new(), |_| ()).await;
    drop(dropped);
    assert_eq!(left(folder.path()), ["kept.bin"]);
}

#[tokio::test]
async fn a_refusal_is_told_and_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut saving = begun(folder.path(), Some("a.txt"));
    let ask = |_| async {
        let body = br#"{"type":"","status":404,"code":"not_found","detail":"There is no such file."}"#;
        let body = stream::iter([Ok(Bytes::from_static(body))]).boxed();
        Ok(RawAnswer { status: 404, headers: HeaderMap::new(), body })
    };
    let error = saving.take(ask, &CancellationToken::new(), |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("There is no such file."), "{error}");
    assert!(!error.is_passing());
    drop(saving);
    assert_eq!(left(folder.path()), [""; 0]);
}

#[test]
fn nothing_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    for text in ["one", "two", "three"] {
        let mut saving = Saving::begin(folder.path(), Some("a.txt"), |_| ()).unwrap();
        saving.put(text.as_bytes()).unwrap();
        saving.finish().unwrap();
    }
    assert_eq!(left(folder.path()), ["a (2).txt", "a (3).txt", "a.txt"]);
    assert_eq!(fs::read_to_string(folder.path().join("a.txt")).unwrap(), "one");
}

fn unfinished(saving: &Saving) -> UnfinishedSave {
    let source = SaveSource {
        server: crate::app::ServerId::fresh(),
        device: None,
        path: "/api/v1/tasks/1/output".to_owned(),
        headers: Vec::new(),
    };
    UnfinishedSave { source: Some(source), part: saving.part(), paused: false }
}

/// As an app that is killed leaves it: nothing is dropped.
fn killed(saving: Saving) {
    saving.part.into_parts().1.keep().unwrap();
}

#[tokio::test]
async fn what_a_killed_app_left_is_gone_on_with_from_what_the_disk_has() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("app/saves.json");
    let downloads = folder.path().join("downloads");
    let mut saving = begun(&downloads, None);
    let cut = |headers: HeaderMap| async move {
        Ok(answer(CONTENT, &headers, Answers { until: Some(12), ..WHOLE }))
    };
    let stop = CancellationToken::new();
    let heard = saving
        .take(cut, &stop, |now| {
            if now.progress().received == 12 {
                stop.cancel()
            }
        })
        .await;
    assert!(heard.is_err());
    // So much of it was awaited from the disk; what came after may be lost with the power.
    saving.safe = 9;
    UnfinishedSaves::load(list.clone()).put(4, unfinished(&saving)).unwrap();
    killed(saving);
    assert_eq!(left(&downloads).len(), 1);

    let mut kept = UnfinishedSaves::load(list.clone());
    let (number, save) = kept.all().next().map(|(number, save)| (number, save.clone())).unwrap();
    assert_eq!((number, save.part.name.as_deref()), (0, Some("told.bin")));
    let mut again = Saving::take_up(save.part).unwrap();
    assert_eq!(again.progress(), Progress { received: 9, total: Some(20) });
    let on = |headers: HeaderMap| async move {
        assert_eq!(
            (&headers[RANGE], &headers[IF_RANGE]),
            (&"bytes=9-".parse().unwrap(), &"\"a\"".parse().unwrap())
        );
        Ok(answer(CONTENT, &headers, WHOLE))
    };
    again.take(on, &CancellationToken::new(), |_| ()).await.unwrap();
    assert_eq!(fs::read(again.finish().unwrap()).unwrap(), CONTENT);
    assert_eq!(left(&downloads), ["told.bin"]);
    kept.remove(0).unwrap();
    assert_eq!(UnfinishedSaves::load(list).all().count(), 0);
}

#[test]
fn a_part_is_written_down_before_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let downloads = folder.path().join("downloads");
    let list = folder.path().join("app/saves.json");
    let mut unfinished = UnfinishedSaves::load(list.clone());
    let saving = Saving::begin(&downloads, Some("a.bin"), |part| {
        assert_eq!(left(&downloads), [""; 0], "an app that is killed now leaves nothing");
        unfinished.put(0, UnfinishedSave { source: None, part, paused: false }).unwrap();
    });
    let saving = saving.unwrap();
    let kept: Vec<_> = UnfinishedSaves::load(list.clone()).all().map(|(_, save)| save.clone()).collect();
    assert_eq!(kept, [UnfinishedSave { source: None, part: saving.part(), paused: false }]);

    // Killed now, what is there is found by what was written down; killed before, there is nothing to find.
    killed(saving);
    drop(Saving::take_up(kept[0].part.clone()).unwrap());
    assert_eq!(left(&downloads), [""; 0]);
    assert!(Saving::take_up(kept[0].part.clone()).is_err());
    let mut again = UnfinishedSaves::load(list.clone());
    again.remove_gone().unwrap();
    assert_eq!(UnfinishedSaves::load(list).all().count(), 0);
}

#[test]
fn a_list_of_an_earlier_version_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("saves.json");
    let server = crate::app::ServerId::fresh();
    let source = serde_json::json!({ "server": server, "device": null, "path": "/x", "headers": [] });
    let part = serde_json::json!({ "path": "/p", "name": null, "written": 3, "total": null, "mark": null });
    let saves = serde_json::json!([{ "source": source, "part": part, "paused": true }]);
    fs::write(&list, saves.to_string()).unwrap();
    let kept = UnfinishedSaves::load(list);
    let source = kept.all().next().and_then(|(_, save)| save.source.clone()).unwrap();
    assert_eq!((source.server, source.path.as_str()), (server, "/x"));
}

#[test]
fn what_is_taken_up_and_let_go_leaves_nothing_and_other_files_are_never_touched() {
    let folder = tempfile::tempdir().unwrap();
    let saving = begun(folder.path(), Some("a.bin"));
    let part = saving.part();
    killed(saving);
    drop(Saving::take_up(part.clone()).unwrap());
    assert_eq!(left(folder.path()), [""; 0]);
    assert!(Saving::take_up(part.clone()).is_err(), "it is gone");

    let letter = folder.path().join("letter.txt");
    fs::write(&letter, "dear").unwrap();
    assert!(Saving::take_up(SavePart { path: letter.clone(), ..part.clone() }).is_err());
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&letter, &part.path).unwrap();
        assert!(Saving::take_up(part).is_err(), "it leads elsewhere");
    }
    assert_eq!(fs::read_to_string(letter).unwrap(), "dear");
}
