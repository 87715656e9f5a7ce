//! What the findings say.
