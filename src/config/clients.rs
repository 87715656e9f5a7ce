//! The clients that browsers log in with, each with the provider that knows it. Knows nothing of what providers answer.

use super::checked::{ExplorerLogin, LoginClient, Provider};

/// Gives each provider the clients that log in with it. Without a public URL nobody knows where browsers come back to.
pub(super) fn assign(
    mut providers: Vec<Provider>,
    explorer: Option<&ExplorerLogin>,
    public_url: Option<&str>,
    oe2_root: &str,
) -> Vec<Provider> {
    let (Some(explorer), Some(public_url)) = (explorer, public_url) else { return providers };
    let issuer = explorer.issuer();
    let ending = format!("/realms/{}", explorer.realm);
    let is_its = |provider: &Provider| provider.issuer == issuer || provider.accepted_issuers.contains(&issuer);
    // Else the only realm of that name, under another address: the one that containers use.
    let position = providers.iter().position(is_its).or_else(|| {
        let mut same =
            (0..).zip(&providers).filter(|(_, provider)| provider.keycloak && provider.issuer.ends_with(&ending));
        same.next().filter(|_| same.next().is_none()).map(|(index, _)| index)
    });
    if let Some(provider) = position.and_then(|index| providers.get_mut(index)) {
        provider.clients.push(LoginClient {
            place: "OrthancExplorer2.Keycloak.ClientId".to_owned(),
            client_id: explorer.client_id.clone(),
            secret: None,
            redirect_uri: format!("{public_url}{}app/", oe2_root.trim_start_matches('/')),
        });
    }
    providers
}
