//! The clients that browsers log in with, each with the provider that knows it. Knows nothing of what providers answer.

use super::checked::{ExplorerLogin, LoginClient, Provider};

/// Gives each provider the clients that log in with it. Without a public URL nobody knows where browsers come back to.
pub(super) fn assign(
    mut providers: Vec<Provider>,
    gate: bool,
    explorer: Option<&ExplorerLogin>,
    public_url: Option<&str>,
    oe2_root: &str,
) -> Vec<Provider> {
    let Some(public_url) = public_url else { return providers };
    if gate {
        for provider in &mut providers {
            provider.clients.push(LoginClient {
                place: format!("{}.ClientId", provider.path),
                client_id: provider.client_id.clone(),
                secret: provider.client_secret.clone(),
                redirect_uri: format!("{public_url}auth/callback"),
            });
        }
    }
    if let Some((explorer, provider)) = explorer.and_then(|login| Some((login, explorers(&mut providers, login)?))) {
        provider.clients.push(LoginClient {
            place: "OrthancExplorer2.Keycloak.ClientId".to_owned(),
            client_id: explorer.client_id.clone(),
            secret: None,
            redirect_uri: format!("{public_url}{}app/", oe2_root.trim_start_matches('/')),
        });
    }
    providers
}

/// The provider that Orthanc Explorer 2 sends browsers to.
fn explorers<'a>(providers: &'a mut [Provider], explorer: &ExplorerLogin) -> Option<&'a mut Provider> {
    let issuer = explorer.issuer();
    let ending = format!("/realms/{}", explorer.realm);
    let is_its = |provider: &Provider| provider.issuer == issuer || provider.accepted_issuers.contains(&issuer);
    // Else the only realm of that name, under another address: the one that containers use.
    let position = providers.iter().position(is_its).or_else(|| {
        let is_same = |provider: &Provider| provider.keycloak && provider.issuer.ends_with(&ending);
        let mut same = (0..).zip(providers.iter()).filter(|(_, provider)| is_same(provider));
        same.next().filter(|_| same.next().is_none()).map(|(index, _)| index)
    });
    providers.get_mut(position?)
}
