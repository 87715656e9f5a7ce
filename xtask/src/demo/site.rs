//! The demonstration's site: its users, roles, configuration and images. It must not know what will be tried.
use super::{Images, study_uid};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::Path;
use testbed::{Orthanc, dicom, password_hash, random_hex};

/// Local users and their passwords, made anew for each demonstration.
pub(super) struct Users(Vec<(&'static str, String)>);

impl Users {
    pub(super) fn new() -> Result<Self> {
        let users: Result<_> = ["admin", "doctor", "external"].map(|u| Ok((u, random_hex(6)?))).into_iter().collect();
        Ok(Self(users?))
    }

    pub(super) fn password(&self, user: &str) -> &str {
        self.0.iter().find(|(name, _)| *name == user).map_or("", |(_, password)| password)
    }
}

/// What goes into Orthanc's configuration; the roles lie in a file beside it, as on a real site.
pub(super) fn configuration(users: &Users, folder: &Path, port: u16) -> Result<Value> {
    let roles = json!({
        "roles": {
            "admin-role": {
                "permissions": ["all", "admin-permissions", "view", "download", "delete", "send", "modify", "anonymize",
                    "upload", "settings", "edit-labels", "share"],
                "authorized-labels": ["*"],
            },
            "doctor-role": {"permissions": ["view", "download", "share", "send"], "authorized-labels": ["*"]},
            "external-role": {"permissions": ["view", "download", "share"], "authorized-labels": ["external"]},
        },
        "available-labels": [],
    });
    let roles_file = folder.join("permissions.json");
    std::fs::write(&roles_file, serde_json::to_vec_pretty(&roles)?).context("cannot write the roles file")?;

    let mut accounts = json!({});
    for (user, password) in &users.0 {
        accounts[user] = json!({"PasswordHash": password_hash(password)?, "Roles": [format!("{user}-role")]});
    }
    Ok(json!({
        "Name": "Gatehouse demonstration",
        "Authorization": {
            // Orthanc Explorer 2 looks for this key before it shows sharing.
            "WebServiceRootUrl": "",
            "StandardConfigurations": ["orthanc-explorer-2", "stone-webviewer"],
            "Users": accounts,
            "TokenHttpHeaders": ["api-key"],
            "PermissionsFile": roles_file,
            "Shares": {"PublicOrthancRoot": format!("http://localhost:{port}/")},
            "Storage": {"SQLite": "authorization.db"},
        },
    }))
}

/// Uploads real images and labels every second study `external`.
pub(super) fn fill(server: &Orthanc) -> Result<Images> {
    let client = server.client();
    let mut studies = Vec::new();
    for name in dicom::REAL_IMAGES {
        studies.push(dicom::upload_real(&client, name)?);
    }
    let labelled: Vec<_> = studies.iter().step_by(2).collect();
    for study in &labelled {
        dicom::label(&client, &study.study, "external")?;
    }
    let [shared, private, ..] = studies.as_slice() else { anyhow::bail!("two images are needed") };
    Ok(Images {
        shared_uid: study_uid(server, &shared.study)?,
        private_uid: study_uid(server, &private.study)?,
        shared: shared.clone(),
        private: private.clone(),
        total: studies.len(),
        labelled: labelled.len(),
    })
}
