//! A real Chromium before real Orthancs, a real Keycloak and OHIF: the login gate and links as people meet them.
//!
//! One Keycloak and one protected server of the newest version serve most tests; each has browsers of its own. Access
//! tokens live for seconds here, so that every test that takes longer shows sessions renewed. Without a browser, Java
//! or the servers these tests say that they did not run.
#![deny(unsafe_code)]

mod elsewhere;
mod launch;
mod links;
mod logout;
mod ohif;
mod pages;
mod picture;
mod scene;
mod viewer;
