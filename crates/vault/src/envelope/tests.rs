use std::collections::HashSet;
use std::sync::Mutex;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, UnboundCipherKey};
use data_encoding::HEXLOWER;
use domain::id::Alias;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::root_key::RootKeySet;

struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).unwrap();
    }
}

struct StoppedClock;

impl domain::clock::Clock for StoppedClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
}

/// Gives 0, 1, 2, … so that a whole blob is known.
struct CountingEntropy(Mutex<u8>);

impl Entropy for CountingEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        let mut next = self.0.lock().unwrap();
        for byte in bytes {
            *byte = *next;
            *next = next.wrapping_add(1);
        }
    }
}

/// Remembers every draw.
#[derive(Default)]
struct RecordingEntropy(Mutex<Vec<Vec<u8>>>);

impl Entropy for RecordingEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        SystemEntropy.fill(bytes);
        self.0.lock().unwrap().push(bytes.to_vec());
    }
}

fn organization(number: u128) -> Option<OrganizationId> {
    Some(OrganizationId(Uuid::from_u128(number)))
}

fn binding() -> Binding {
    Binding {
        organization_id: organization(1),
        alias: Alias::from_random([1; 16]),
        version: 1,
        purpose: Purpose::ProviderApiKey,
        provider: "openai".to_owned(),
        allowed_origin: "https://api.openai.com".to_owned(),
    }
}

/// Bindings that differ from [`binding`] in one member each.
fn other_bindings() -> Vec<Binding> {
    let other = |change: fn(&mut Binding)| {
        let mut other = binding();
        change(&mut other);
        other
    };
    vec![
        other(|it| it.organization_id = organization(2)),
        other(|it| it.organization_id = None),
        other(|it| it.alias = Alias::from_random([2; 16])),
        other(|it| it.version = 2),
        other(|it| it.purpose = Purpose::IdempotentAnswer),
        other(|it| it.provider = "anthropic".to_owned()),
        other(|it| it.allowed_origin = "https://api.openai.com.example".to_owned()),
        other(|it| it.allowed_origin = String::new()),
        other(|it| {
            // The same letters, cut elsewhere.
            it.provider = "openaihttps://".to_owned();
            it.allowed_origin = "api.openai.com".to_owned();
        }),
    ]
}

fn root_key() -> RootKey {
    RootKey::generate(&StoppedClock, &SystemEntropy).unwrap()
}

fn sealed(secret: &str) -> (OrganizationKey, Vec<u8>) {
    let key = OrganizationKey::random(&SystemEntropy);
    let blob = seal(&key, &binding(), secret);
    (key, blob)
}

fn seal(key: &OrganizationKey, binding: &Binding, secret: &str) -> Vec<u8> {
    seal_secret(
        key,
        binding,
        &Secret::new(secret.to_owned()),
        &SystemEntropy,
    )
    .unwrap()
}

/// Every blob that differs from `blob` in one bit.
fn flips(blob: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..blob.len() * 8).map(|bit| {
        let mut flipped = blob.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    })
}

/// Every blob that is shorter, and some that are longer.
fn resized(blob: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let shorter = (0..blob.len()).map(|length| blob[..length].to_vec());
    let beheaded = (1..blob.len()).map(|start| blob[start..].to_vec());
    let longer = [1, 12, 16, 64].map(|extra| [blob, &vec![0; extra]].concat());
    shorter.chain(beheaded).chain(longer)
}

fn does_not_open<T>(result: Result<T, VaultError>) -> bool {
    result.is_err_and(|error| error == VaultError::DoesNotOpen)
}

proptest! {
    #[test]
    fn what_was_sealed_opens(secret in ".{0,300}", origin in ".{0,40}", provider in ".{0,20}") {
        let binding = Binding { provider, allowed_origin: origin, ..binding() };
        let key = OrganizationKey::random(&SystemEntropy);
        let blob = seal(&key, &binding, &secret);
        let opened = open_secret(&key, &binding, &blob).unwrap();
        prop_assert_eq!(opened.expose(), secret);
    }

    #[test]
    fn bytes_that_nobody_sealed_do_not_open(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let key = OrganizationKey::random(&SystemEntropy);
        prop_assert!(does_not_open(open_secret(&key, &binding(), &bytes)));
        let with_header = [&Kind::Secret.header()[..], &key.id, &bytes].concat();
        prop_assert!(does_not_open(open_secret(&key, &binding(), &with_header)));
        let root = root_key();
        prop_assert!(does_not_open(unwrap_organization_key(&root, None, &bytes)));
        prop_assert!(does_not_open(open_canary(&root, &bytes)));
    }

    #[test]
    fn padding_comes_off_and_is_the_shortest(secret in proptest::collection::vec(any::<u8>(), 0..200)) {
        let padded = pad(&secret).unwrap();
        prop_assert_eq!(padded.len() % 64, 0);
        prop_assert_eq!(unpad(&padded).unwrap(), &secret[..]);
        let longer = [&padded[..], &[0; 64]].concat();
        prop_assert!(unpad(&longer).is_err());
    }
}

#[test]
fn every_flipped_bit_of_a_secret_is_noticed() {
    let (key, blob) = sealed("sk-live-0123456789");
    assert!(open_secret(&key, &binding(), &blob).is_ok());
    for flipped in flips(&blob) {
        assert!(does_not_open(open_secret(&key, &binding(), &flipped)));
    }
}

#[test]
fn every_flipped_bit_of_an_organization_key_or_a_canary_is_noticed() {
    let root = root_key();
    let key = OrganizationKey::random(&SystemEntropy);
    let wrapped = wrap_organization_key(&root, organization(1), &key, &SystemEntropy).unwrap();
    let unwrapped = unwrap_organization_key(&root, organization(1), &wrapped).unwrap();
    assert_eq!(unwrapped.key.expose(), key.key.expose());
    for flipped in flips(&wrapped) {
        let opened = unwrap_organization_key(&root, organization(1), &flipped);
        assert!(does_not_open(opened));
    }
    let canary = seal_canary(&root, &SystemEntropy).unwrap();
    assert_eq!(open_canary(&root, &canary), Ok(()));
    for flipped in flips(&canary) {
        assert!(does_not_open(open_canary(&root, &flipped)));
    }
}

#[test]
fn a_shorter_or_longer_blob_does_not_open() {
    let (key, blob) = sealed("sk-live-0123456789");
    for blob in resized(&blob) {
        assert!(does_not_open(open_secret(&key, &binding(), &blob)));
    }
    let root = root_key();
    let wrapped = wrap_organization_key(&root, None, &key, &SystemEntropy).unwrap();
    for blob in resized(&wrapped) {
        assert!(does_not_open(unwrap_organization_key(&root, None, &blob)));
    }
    let canary = seal_canary(&root, &SystemEntropy).unwrap();
    for blob in resized(&canary) {
        assert!(does_not_open(open_canary(&root, &blob)));
    }
}

#[test]
fn a_secret_opens_nowhere_else() {
    let (key, blob) = sealed("sk-live-0123456789");
    for other in other_bindings() {
        assert!(does_not_open(open_secret(&key, &other, &blob)), "{other:?}");
        let moved = seal(&key, &other, "sk-other");
        assert!(does_not_open(open_secret(&key, &binding(), &moved)));
    }
}

#[test]
fn a_data_key_cannot_be_moved_to_another_secret() {
    let key = OrganizationKey::random(&SystemEntropy);
    let first = seal(&key, &binding(), "sk-first");
    let second = seal(&key, &binding(), "sk-second");
    let capsules = HEADER_LENGTH + ORGANIZATION_KEY_ID_LENGTH;
    let cut = capsules + WRAPPED_KEY_LENGTH;
    let spliced = [&first[..cut], &second[cut..]].concat();
    assert!(does_not_open(open_secret(&key, &binding(), &spliced)));
}

#[test]
fn an_organization_key_opens_for_its_organization_and_root_key_alone() {
    let root = root_key();
    let key = OrganizationKey::random(&SystemEntropy);
    let wrapped = wrap_organization_key(&root, organization(1), &key, &SystemEntropy).unwrap();
    for other in [organization(2), None] {
        assert!(does_not_open(unwrap_organization_key(
            &root, other, &wrapped
        )));
    }
    let other = root_key();
    let opened = unwrap_organization_key(&other, organization(1), &wrapped);
    assert!(does_not_open(opened));
    let mut renamed = wrapped;
    let id = HEADER_LENGTH + ORGANIZATION_KEY_ID_LENGTH;
    renamed[id..id + ROOT_KEY_ID_LENGTH].copy_from_slice(other.id().as_bytes());
    let opened = unwrap_organization_key(&other, organization(1), &renamed);
    assert!(does_not_open(opened));
}

#[test]
fn one_kind_of_blob_is_never_taken_for_another() {
    let root = root_key();
    let key = OrganizationKey::random(&SystemEntropy);
    let mut canary = seal_canary(&root, &SystemEntropy).unwrap();
    canary[5] = Kind::OrganizationKey as u8;
    assert!(does_not_open(unwrap_organization_key(&root, None, &canary)));
    let mut wrapped = wrap_organization_key(&root, None, &key, &SystemEntropy).unwrap();
    wrapped[5] = Kind::Secret as u8;
    assert!(does_not_open(open_secret(&key, &binding(), &wrapped)));
}

#[test]
fn equal_secrets_of_two_organizations_share_no_bytes() {
    let (first_key, second_key) = (
        OrganizationKey::random(&SystemEntropy),
        OrganizationKey::random(&SystemEntropy),
    );
    let secret = "sk-the-very-same-key-in-both-organisations";
    let second_binding = Binding {
        organization_id: organization(2),
        ..binding()
    };
    let first = seal(&first_key, &binding(), secret);
    let second = seal(&second_key, &second_binding, secret);
    let again = seal(&first_key, &binding(), secret);
    let windows: HashSet<&[u8]> = first[HEADER_LENGTH..].windows(8).collect();
    assert!(
        second[HEADER_LENGTH..]
            .windows(8)
            .all(|it| !windows.contains(it))
    );
    // The same organisation repeats its key id and nothing else.
    let after_id = HEADER_LENGTH + ORGANIZATION_KEY_ID_LENGTH;
    assert!(again[after_id..].windows(8).all(|it| !windows.contains(it)));
}

#[test]
fn the_length_of_a_short_key_does_not_show() {
    let key = OrganizationKey::random(&SystemEntropy);
    let lengths: HashSet<usize> = (0..=60)
        .map(|length| seal(&key, &binding(), &"k".repeat(length)).len())
        .collect();
    assert_eq!(lengths.len(), 1);
}

#[test]
fn data_keys_salts_and_nonces_never_repeat() {
    let key = OrganizationKey::random(&SystemEntropy);
    let entropy = RecordingEntropy::default();
    let secret = Secret::new("sk".to_owned());
    let seals = 20_000;
    for _ in 0..seals {
        seal_secret(&key, &binding(), &secret, &entropy).unwrap();
    }
    let draws = entropy.0.into_inner().unwrap();
    // A data key, and for each of two capsules a salt and a nonce.
    assert_eq!(draws.len(), seals * 5);
    let lengths: Vec<usize> = draws[..5].iter().map(Vec::len).collect();
    assert_eq!(lengths, [32, 32, 12, 32, 12]);
    let unique: HashSet<&Vec<u8>> = draws.iter().collect();
    assert_eq!(unique.len(), draws.len());
}

/// The blob below was made by another implementation, written in Python from the text of
/// this module alone (`tests/vectors/envelope_v1.py`). It holds the format still.
#[test]
fn the_format_is_what_the_documentation_says() {
    let vectors = include_str!("../../tests/vectors/envelope_v1.txt");
    let vector = |name: &str| {
        let line = vectors.lines().find_map(|line| line.strip_prefix(name));
        HEXLOWER.decode(line.unwrap().trim().as_bytes()).unwrap()
    };
    let key = OrganizationKey {
        id: [0xa5; 16],
        key: Key::from_slice(&[0x5a; 32]).unwrap(),
    };
    let blob = vector("secret");
    let opened = open_secret(&key, &binding(), &blob).unwrap();
    assert_eq!(opened.expose(), "sk-live-0123456789");
    let secret = Secret::new("sk-live-0123456789".to_owned());
    let entropy = CountingEntropy(Mutex::new(0));
    assert_eq!(
        seal_secret(&key, &binding(), &secret, &entropy).unwrap(),
        blob
    );

    let set = RootKeySet::parse(&format!(
        "quartermaster-root-keys v1\n{} current 2026-01-02T03:04:05Z {}\n",
        String::from_utf8(vector("root-key-id")).unwrap(),
        "3c".repeat(32)
    ))
    .unwrap();
    let root = set.current();
    let wrapped = vector("organization-key");
    let unwrapped = unwrap_organization_key(root, organization(1), &wrapped).unwrap();
    assert_eq!(unwrapped.key.expose(), &[0x5a; 32]);
    assert_eq!(unwrapped.id, [0xa5; 16]);
    assert_eq!(open_canary(root, &vector("canary")), Ok(()));
}

/// An attacker who knows two keys can build one AES-GCM ciphertext that opens under both,
/// and then learn, from whether it opens, which key a victim holds, or show two readers
/// two texts. This builds one for the two keys that a capsule would use, shows that plain
/// AES-GCM falls for it, and that a capsule does not.
#[test]
fn a_ciphertext_that_opens_under_two_keys_is_refused() {
    let salt = [7; 32];
    let nonce = [9; 12];
    let context = b"context";
    let keys = [[1; 32], [2; 32]].map(|bytes| Key::from_slice(&bytes).unwrap());
    let encrypt = [0, 1].map(|at: usize| keys[at].derive(&salt, "secret", "encrypt").unwrap());
    let (ciphertext, tag) = collision([encrypt[0].expose(), encrypt[1].expose()], &nonce, context);

    for key in &encrypt {
        let plain = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.expose()).unwrap());
        let mut buffer = [&ciphertext[..], &tag].concat();
        let nonce = Nonce::assume_unique_for_key(nonce);
        assert!(
            plain
                .open_in_place(nonce, Aad::from(context), &mut buffer)
                .is_ok()
        );
    }

    let commit = keys[0].derive(&salt, "secret", "commit").unwrap();
    let commitment = commit.authenticate(&fields(&[&nonce, context]));
    let forged = [&salt[..], &nonce, &commitment, &ciphertext, &tag].concat();
    assert!(capsule::open(&keys[0], "secret", context, &forged).is_ok());
    assert!(does_not_open(capsule::open(
        &keys[1], "secret", context, &forged
    )));
}

/// Two blocks of ciphertext and a tag that AES-256-GCM accepts under both keys.
///
/// With H = E(0), E0 = E(nonce | 1), blocks A (associated data), C, X and L (lengths), the
/// tag is A·H⁴ + C·H³ + X·H² + L·H + E0. Equal tags under two keys are one linear equation
/// in X.
fn collision(keys: [&[u8; 32]; 2], nonce: &[u8; 12], context: &[u8]) -> ([u8; 32], [u8; 16]) {
    let mut first_counter = [0; 16];
    first_counter[..12].copy_from_slice(nonce);
    first_counter[15] = 1;
    let mut associated = [0; 16];
    associated[..context.len()].copy_from_slice(context);
    let lengths = (u128::try_from(context.len()).unwrap() * 8) << 64 | 256;
    let block = 0x0123_4567_89ab_cdef_u128;

    let parts = keys.map(|key| {
        let h = encrypt_block(key, [0; 16]);
        let h2 = multiply(h, h);
        let h3 = multiply(h2, h);
        let constant = multiply(u128::from_be_bytes(associated), multiply(h3, h))
            ^ multiply(block, h3)
            ^ multiply(lengths, h)
            ^ encrypt_block(key, first_counter);
        (constant, h2)
    });
    let [(constant, square), (other_constant, other_square)] = parts;
    let free = multiply(constant ^ other_constant, invert(square ^ other_square));
    let tag = constant ^ multiply(free, square);
    let mut ciphertext = [0; 32];
    ciphertext[..16].copy_from_slice(&block.to_be_bytes());
    ciphertext[16..].copy_from_slice(&free.to_be_bytes());
    (ciphertext, tag.to_be_bytes())
}

fn encrypt_block(key: &[u8; 32], mut block: [u8; 16]) -> u128 {
    let key = UnboundCipherKey::new(&AES_256, key).unwrap();
    EncryptingKey::ecb(key)
        .unwrap()
        .encrypt(&mut block)
        .unwrap();
    u128::from_be_bytes(block)
}

/// Multiplication in GF(2¹²⁸) as GCM has it (NIST SP 800-38D, section 6.3).
fn multiply(x: u128, y: u128) -> u128 {
    let (mut product, mut shifted) = (0, y);
    for bit in (0..128).rev() {
        if x >> bit & 1 == 1 {
            product ^= shifted;
        }
        shifted = (shifted >> 1) ^ if shifted & 1 == 1 { 0xe1 << 120 } else { 0 };
    }
    product
}

/// x to the power of 2¹²⁸ - 2, which is its inverse.
fn invert(x: u128) -> u128 {
    let one = 1 << 127;
    let (mut result, mut power) = (one, x);
    for _ in 1..128 {
        power = multiply(power, power);
        result = multiply(result, power);
    }
    result
}
