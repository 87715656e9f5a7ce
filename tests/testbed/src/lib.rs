//! Real Orthanc servers for the tests.
