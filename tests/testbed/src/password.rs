//! Password hashes for configurations, and random strings.
use anyhow::{Context, Result};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// A PHC string `$argon2id$v=19$m=19456,t=2,p=1$…` (OWASP's parameters) of the password with a fresh salt.
pub fn password_hash(password: &str) -> Result<String> {
    let (memory, passes, lanes) = (19_456, 2, 1);
    let mut salt = [0_u8; 16];
    rand::fill(&mut salt).ok().context("no random bytes")?;
    let mut hash = [0_u8; 32];
    let parameters =
        Params::new(memory, passes, lanes, Some(hash.len())).map_err(|e| anyhow::anyhow!("argon2: {e}"))?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into(password.as_bytes(), &salt, &mut hash)
        .map_err(|e| anyhow::anyhow!("argon2: {e}"))?;
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    Ok(format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}"))
}

/// So many random bytes as lower-case hex.
pub fn random_hex(bytes: usize) -> Result<String> {
    let mut raw = vec![0_u8; bytes];
    rand::fill(&mut raw).ok().context("no random bytes")?;
    Ok(raw.iter().map(|byte| format!("{byte:02x}")).collect())
}
