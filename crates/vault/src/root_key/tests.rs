use std::sync::atomic::{AtomicU8, Ordering};

use super::*;

struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        "2026-01-02T03:04:05.678Z".parse().unwrap()
    }
}

struct Counting(AtomicU8);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
    }
}

fn keys(count: usize) -> Vec<RootKey> {
    let entropy = Counting(AtomicU8::new(1));
    (0..count)
        .map(|_| RootKey::generate(&StoppedClock, &entropy).unwrap())
        .collect()
}

fn line(key: &RootKey, state: &str) -> String {
    let hexadecimal = HEXLOWER.encode(key.key.expose());
    format!("{} {state} 2026-01-02T03:04:05Z {hexadecimal}", key.id)
}

fn text(lines: &[String]) -> String {
    format!("{FIRST_LINE}\n{}\n", lines.join("\n"))
}

fn refusal(text: &str) -> String {
    match RootKeySet::parse(text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(why) => why,
    }
}

#[test]
fn a_set_survives_its_text() {
    let mut made = keys(3).into_iter();
    let mut set = RootKeySet::of(made.next().unwrap());
    set.prepare(made.next().unwrap());
    assert!(set.promote());
    set.prepare(made.next().unwrap());
    let text = set.to_text();
    let read = RootKeySet::parse(&text).unwrap();
    assert_eq!(read.to_text().as_str(), text.as_str());
    let described: Vec<_> = read.iter().map(|(state, key)| (state, key.id())).collect();
    let expected: Vec<_> = set.iter().map(|(state, key)| (state, key.id())).collect();
    assert_eq!(described, expected);
    assert_eq!(
        described
            .iter()
            .map(|(state, _)| *state)
            .collect::<Vec<_>>(),
        [
            RootKeyState::Old,
            RootKeyState::Current,
            RootKeyState::Prepared
        ]
    );
    assert_eq!(read.current().id(), described[1].1);
    assert_eq!(
        read.current().created_at(),
        "2026-01-02T03:04:05Z".parse().unwrap()
    );
}

#[test]
fn only_old_keys_are_removed_and_the_current_one_stays_current() {
    let mut made = keys(2).into_iter();
    let mut set = RootKeySet::of(made.next().unwrap());
    set.prepare(made.next().unwrap());
    set.promote();
    let ids: Vec<String> = set.iter().map(|(_, key)| key.id().to_owned()).collect();
    set.remove_old(&ids[1]);
    assert_eq!(set.iter().count(), 2);
    set.remove_old(&ids[0]);
    assert_eq!(set.iter().count(), 1);
    assert_eq!(set.current().id(), ids[1]);
    assert!(!set.promote());
}

#[test]
fn a_text_that_is_not_a_set_is_refused_with_the_reason() {
    let made = keys(2);
    let good = line(&made[0], "current");
    let other_key = format!(
        "{} {}",
        good.rsplit_once(' ').unwrap().0,
        HEXLOWER.encode(made[1].key.expose())
    );
    for (text, reason) in [
        (String::new(), "first line"),
        ("quartermaster-root-keys v2\n".to_owned(), "first line"),
        (text(&[]), "no key is marked `current`"),
        (text(&[line(&made[0], "old")]), "no key is marked `current`"),
        (
            text(&[good.clone(), line(&made[1], "current")]),
            "more than one",
        ),
        (
            text(&[good.clone(), line(&made[0], "old")]),
            "line 3: the key rk_",
        ),
        (text(&[line(&made[0], "new")]), "line 2: the state"),
        (text(&[good.replace("2026", "twenty")]), "line 2: the time"),
        (text(&[good[..good.len() - 1].to_owned()]), "64 hexadecimal"),
        (text(&[good.clone() + "00"]), "64 hexadecimal"),
        (text(&[good.replace(' ', "  ")]), "four words"),
        (text(&[other_key]), "not the one that its id names"),
    ] {
        let why = refusal(&text);
        assert!(why.contains(reason), "{why}");
        assert!(!why.contains(good.rsplit_once(' ').unwrap().1), "{why}");
    }
}

#[test]
fn comments_and_empty_lines_are_skipped_and_counted() {
    let good = line(&keys(1)[0], "current");
    assert!(RootKeySet::parse(&format!("# a\n\n{FIRST_LINE}\n# b\n{good}\n")).is_ok());
    let why = refusal(&format!("# a\n\n{FIRST_LINE}\n# b\n{good} more\n"));
    assert!(why.starts_with("line 5:"), "{why}");
}

#[test]
fn a_keyed_hash_depends_on_key_purpose_and_data() {
    let made = keys(2);
    let mut seen = std::collections::HashSet::new();
    for key in &made {
        for purpose in [
            HashPurpose::IdempotencyKey,
            HashPurpose::IdempotencyFingerprint,
        ] {
            for data in [b"a".as_slice(), b"b"] {
                assert!(seen.insert(key.keyed_hash(purpose, data).unwrap()));
            }
        }
    }
}
