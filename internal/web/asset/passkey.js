// Passkeys: a form with data-webauthn asks the browser for one ("get") or makes one
// ("create") with the JSON options in data-options, puts the answer into the field
// "response" and sends the form. The server decides everything.
"use strict";

const bytes = (s) => Uint8Array.from(atob(s.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (b) => btoa(String.fromCharCode(...new Uint8Array(b)))
  .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

// fromJSON is PublicKeyCredential.parse…OptionsFromJSON for browsers without it.
function fromJSON(kind, options) {
  const parse = PublicKeyCredential[kind === "get" ? "parseRequestOptionsFromJSON" : "parseCreationOptionsFromJSON"];
  if (parse) {
    return parse.call(PublicKeyCredential, options);
  }
  const credentials = (list) => (list || []).map((c) => ({ ...c, id: bytes(c.id) }));
  const parsed = { ...options, challenge: bytes(options.challenge) };
  if (kind === "get") {
    parsed.allowCredentials = credentials(options.allowCredentials);
  } else {
    parsed.user = { ...options.user, id: bytes(options.user.id) };
    parsed.excludeCredentials = credentials(options.excludeCredentials);
  }
  return parsed;
}

// toJSON is PublicKeyCredential.toJSON for browsers without it.
function toJSON(credential) {
  if (credential.toJSON) {
    return credential.toJSON();
  }
  const answer = credential.response;
  const response = { clientDataJSON: text(answer.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (answer[name]) {
      response[name] = text(answer[name]);
    }
  }
  if (answer.getTransports) {
    response.transports = answer.getTransports();
  }
  return {
    id: credential.id, rawId: text(credential.rawId), type: credential.type, response,
    authenticatorAttachment: credential.authenticatorAttachment || undefined,
    clientExtensionResults: credential.getClientExtensionResults(),
  };
}

class Ceremony {
  constructor(form) {
    this.form = form;
    this.kind = form.dataset.webauthn;
    this.status = form.querySelector("[data-status]");
    this.pending = null; // aborts the request of autofill
  }

  start() {
    if (!window.PublicKeyCredential) {
      this.say("missing");
      return;
    }
    for (const element of this.form.querySelectorAll("[data-script]")) {
      element.hidden = false;
    }
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask();
    });
    this.offer();
  }

  say(what) { this.status.textContent = what ? this.form.dataset[what] : ""; }

  call(more) {
    const options = { publicKey: fromJSON(this.kind, JSON.parse(this.form.dataset.options)), ...more };
    return this.kind === "get" ? navigator.credentials.get(options) : navigator.credentials.create(options);
  }

  // offer lets autofill suggest passkeys, where the page wants that and the browser
  // can. It waits in the background, so its failures are nobody's business.
  async offer() {
    const able = PublicKeyCredential.isConditionalMediationAvailable;
    if (!("conditional" in this.form.dataset) || !able || !(await able.call(PublicKeyCredential))) {
      return;
    }
    this.pending = new AbortController();
    try {
      this.send(await this.call({ mediation: "conditional", signal: this.pending.signal }));
    } catch { /* aborted by the button, or nothing chosen */ }
  }

  // ask opens the browser's dialogue. There can be one request at a time, so that
  // of autofill is stopped, and begun again if this one comes to nothing.
  async ask() {
    if (this.busy) {
      return;
    }
    this.busy = true;
    this.pending?.abort();
    this.say("waiting");
    try {
      this.send(await this.call({}));
    } catch (error) {
      this.failed(error);
    }
    this.busy = false;
  }

  failed(error) {
    switch (error.name) {
      case "NotAllowedError": // cancelled, timed out, or nothing fits: browsers do not tell
      case "AbortError":
        this.say("cancelled");
        break;
      case "InvalidStateError":
        this.say("known");
        break;
      case "SecurityError": // not the user's fault: the server must hear of it
        this.form.elements.fault.value = error.name;
        this.form.submit();
        return;
      default:
        this.say("failed");
    }
    this.offer();
  }

  send(credential) {
    this.say("");
    this.form.elements.response.value = JSON.stringify(toJSON(credential));
    this.form.submit();
  }
}

// signal tells password managers which passkeys the account still has, and its name.
async function signal(accepted) {
  const { rpId, userId, allAcceptedCredentialIds, name, displayName } = accepted;
  try {
    await PublicKeyCredential.signalAllAcceptedCredentials({ rpId, userId, allAcceptedCredentialIds });
    await PublicKeyCredential.signalCurrentUserDetails({ rpId, userId, name, displayName });
  } catch { /* a courtesy; nothing depends on it */ }
}

for (const form of document.querySelectorAll("form[data-webauthn]")) {
  new Ceremony(form).start();
}
const accepted = document.querySelector("[data-signal]");
if (accepted && window.PublicKeyCredential?.signalAllAcceptedCredentials) {
  signal(JSON.parse(accepted.dataset.signal));
}
