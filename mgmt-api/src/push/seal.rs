//! What only the receiver can read: RFC 8291 over RFC 8188, one record.

use base64::{
    Engine,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use ring::{
    aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral},
    hkdf::{HKDF_SHA256, KeyType, Prk, Salt},
    rand::SystemRandom,
};

/// Browsers write it without padding, some apps with.
pub const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An uncompressed point of P-256.
pub const POINT: usize = 65;
pub const AUTH: usize = 16;
const SALT: usize = 16;
const KEY: usize = 16;
const TAG: usize = 16;
/// Lengths are rounded up to this, so that the length of what is said says little.
const BLOCK: usize = 256;
/// What every push service takes (RFC 8030, 7.2) is 4,096 bytes, with the header and the tag.
pub const LONGEST: usize = 3_072;

/// The receiver's half.
pub struct Keys {
    pub public: [u8; POINT],
    pub auth: [u8; AUTH],
}

impl Keys {
    /// `None` when the texts are not such keys.
    pub fn read(p256dh: &str, auth: &str) -> Option<Self> {
        let public: [u8; POINT] = BASE64.decode(p256dh).ok()?.try_into().ok()?;
        let auth = BASE64.decode(auth).ok()?.try_into().ok()?;
        // Uncompressed; whether it lies on the curve is found out when it is used.
        (public[0] == 4).then_some(Self { public, auth })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the receiver's keys cannot be used")]
pub struct Unusable;

impl From<ring::error::Unspecified> for Unusable {
    fn from(_: ring::error::Unspecified) -> Self {
        Self
    }
}

/// The body of a push, `Content-Encoding: aes128gcm`.
pub fn seal(keys: &Keys, plain: &[u8]) -> Result<Vec<u8>, Unusable> {
    let mine = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new())?;
    let public = mine.compute_public_key()?;
    let public: [u8; POINT] = public.as_ref().try_into().map_err(|_| Unusable)?;
    let theirs = UnparsedPublicKey::new(&ECDH_P256, keys.public);
    let salt = rand::random::<[u8; SALT]>();
    agree_ephemeral(mine, &theirs, |shared| {
        seal_with(keys, &public, shared, salt, plain, plain.len().next_multiple_of(BLOCK))
    })?
}

/// With everything that is random given.
fn seal_with(
    keys: &Keys,
    public: &[u8; POINT],
    shared: &[u8],
    salt: [u8; SALT],
    plain: &[u8],
    padded: usize,
) -> Result<Vec<u8>, Unusable> {
    let info = [b"WebPush: info\0".as_slice(), &keys.public, public].concat();
    let mut secret = [0; 32];
    expand(&Salt::new(HKDF_SHA256, &keys.auth).extract(shared), &info, &mut secret)?;
    let prk = Salt::new(HKDF_SHA256, &salt).extract(&secret);
    let (mut key, mut nonce) = ([0; KEY], [0; NONCE_LEN]);
    expand(&prk, b"Content-Encoding: aes128gcm\0", &mut key)?;
    expand(&prk, b"Content-Encoding: nonce\0", &mut nonce)?;

    // The last record's delimiter, then padding.
    let mut record = plain.to_vec();
    record.push(2);
    record.resize(record.len().max(padded + 1), 0);
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key)?);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut record)?;

    let size = u32::try_from(record.len().max(4_096)).map_err(|_| Unusable)?;
    let id = u8::try_from(POINT).map_err(|_| Unusable)?;
    Ok([salt.as_slice(), &size.to_be_bytes(), &[id], public, &record].concat())
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand(prk: &Prk, info: &[u8], into: &mut [u8]) -> Result<(), Unusable> {
    Ok(prk.expand(&[info], Length(into.len()))?.fill(into)?)
}

const _: () = assert!(LONGEST + BLOCK + 1 + TAG + SALT + 4 + 1 + POINT < 4_096);

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8291, section 5 and appendix A.
    #[test]
    fn the_published_example_comes_out_byte_for_byte() {
        let keys = Keys::read(
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            "BTBZMqHH6r4Tts7J_aSIgg",
        )
        .unwrap();
        let public = BASE64
            .decode("BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8")
            .unwrap();
        let shared = BASE64.decode("kyrL1jIIOHEzg3sM2ZWRHDRB62YACZhhSlknJ672kSs").unwrap();
        let salt = BASE64.decode("DGv6ra1nlYgDCS1FRnbzlw").unwrap();
        let plain = b"When I grow up, I want to be a watermelon";
        let body = seal_with(&keys, &public.try_into().unwrap(), &shared, salt.try_into().unwrap(), plain, 0)
            .unwrap();
        assert_eq!(
            BASE64.encode(body),
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8w\
             EqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
        );
    }

    #[test]
    fn lengths_say_little_and_fit() {
        let public = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).unwrap();
        let public = public.compute_public_key().unwrap();
        let keys = Keys { public: public.as_ref().try_into().unwrap(), auth: [7; AUTH] };
        let length = |plain: &[u8]| seal(&keys, plain).unwrap().len();
        assert_eq!(length(b"a"), length(&[b'a'; 200]));
        assert!(length(&[b'a'; LONGEST]) <= 4_096);
        assert!(Keys::read("AAAA", "AAAA").is_none());
        assert!(seal(&Keys { public: [4; POINT], auth: [7; AUTH] }, b"a").is_err(), "not on the curve");
    }
}
