//! The request pipeline, top to bottom.

/// Proof that a request was decided and may pass.
#[must_use]
#[derive(Debug)]
pub struct Permit(());

/// A permit for the stand-in of `plugin`.
pub(crate) fn stand_in_permit() -> Permit {
    Permit(())
}
