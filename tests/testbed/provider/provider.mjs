// A certified OpenID Connect provider that is no Keycloak, on loopback: `node provider.mjs PORT`. Everybody is a client that
// gets tokens for itself (client_credentials): the name of the client is the subject, and its roles are in a claim of the
// site's own. The resource that is asked for says how the token is signed. The signature keys are new at each start.
import { generateKeyPairSync } from "node:crypto";
import Provider from "oidc-provider";

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const roles = { jane: ["doctor-role"], vera: ["viewer", "unknown-role"], nobody: [] };

const key = (kid, alg, type, options) => {
  const jwk = generateKeyPairSync(type, options).privateKey.export({ format: "jwk" });
  return { ...jwk, kid, alg, use: "sig" };
};
const algorithms = { "urn:es256": "ES256", "urn:eddsa": "EdDSA" };

const provider = new Provider(issuer, {
  clients: Object.keys(roles).map((name) => ({
    client_id: name,
    client_secret: `${name}-secret`,
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
  })),
  jwks: {
    keys: [
      key("ec", "ES256", "ec", { namedCurve: "P-256" }),
      key("ed", "EdDSA", "ed25519", {}),
      key("rsa", "RS256", "rsa", { modulusLength: 2048 }),
    ],
  },
  extraTokenClaims: (_, token) => ({ "https://site.example/roles": roles[token.clientId] }),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => ({
        scope: "",
        audience: resource === "urn:elsewhere" ? "elsewhere" : "orthanc",
        accessTokenFormat: "jwt",
        accessTokenTTL: 300,
        jwt: { sign: { alg: algorithms[resource] ?? "ES256" } },
      }),
    },
  },
});
provider.listen(port, "127.0.0.1", () => console.log(`listening on ${issuer}`));
