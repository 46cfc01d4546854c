// An OpenID provider on 127.0.0.1. Its settings are one line of JSON on standard input:
//
//   port      0: any that is free
//   clients   client metadata, such as client_id, client_secret and redirect_uris
//   accounts  claims by account: {"ada": {"email": "ada@example.com", "email_verified": true}}
//   features  more settings of oidc-provider's own
//
// Prints its issuer once it listens, and ends when standard input does. People sign in by the name
// of an account, without a password, and consent by signing in. A second button cancels.
import { once } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { Provider } from "oidc-provider";

const input = createInterface({ input: process.stdin });
const { port, clients, accounts, features } = JSON.parse((await once(input, "line"))[0]);
input.on("close", () => process.exit());

const server = createServer((request, response) => answer(request, response));
server.listen(port, "127.0.0.1");
await once(server, "listening");
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients,
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
  cookies: { keys: ["of a provider that lives as long as a test"] },
  features: { devInteractions: { enabled: false } },
  findAccount: (_, id) => id in accounts && { accountId: id, claims: () => ({ sub: id, ...accounts[id] }) },
  interactions: { url: (_, { uid }) => `/interaction/${uid}` },
  async loadExistingGrant({ oidc }) {
    const grant = new provider.Grant({
      accountId: oidc.session.accountId,
      clientId: oidc.client.clientId,
    });
    grant.addOIDCScope(oidc.params.scope);
    await grant.save();
    return grant;
  },
  // Its own error page asks for fonts from elsewhere.
  renderError: (context, { error, error_description }) => {
    context.type = "text/plain";
    context.body = `${error}: ${error_description}`;
  },
  ...features,
});

const page = (told) => `<!doctype html><html lang="en"><title>Provider</title><main>
<h1>Sign in at the provider</h1><p>${told}</p>
<form method="post"><label>Account <input name="account" required autofocus></label>
<button>Sign in</button></form><form method="post"><input type="hidden" name="cancel" value="yes">
<button>Cancel</button></form></main></html>`;

async function interact(request, response) {
  response.setHeader("Content-Type", "text/html; charset=utf-8");
  if (request.method !== "POST") return response.end(page(""));
  const form = new URLSearchParams(await text(request));
  if (form.has("cancel")) {
    return provider.interactionFinished(request, response, { error: "access_denied" });
  }
  const accountId = form.get("account");
  if (!Object.hasOwn(accounts, accountId)) return response.end(page("There is no such account."));
  return provider.interactionFinished(request, response, { login: { accountId } });
}

const others = provider.callback();
async function answer(request, response) {
  if (!request.url.startsWith("/interaction/")) return others(request, response);
  try {
    await interact(request, response);
  } catch (error) {
    response.writeHead(400).end(error.message);
  }
}

console.log(issuer);
