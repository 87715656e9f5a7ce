//! Bodies of other servers' answers, read no further than they may be long.
#![forbid(unsafe_code)]

use reqwest::Response;

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub enum BodyFault {
    /// It is longer than this, in bytes.
    #[error("an answer longer than {0} bytes")]
    TooLong(usize),
    /// The connection broke.
    #[error("{0}")]
    Broken(#[from] reqwest::Error),
}

/// The body of an answer, of at most so many bytes.
pub async fn read(mut answer: Response, most: usize) -> Result<Vec<u8>, BodyFault> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > most {
            return Err(BodyFault::TooLong(most));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
