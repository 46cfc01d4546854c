// Makes the pages quicker to use. All of them work without it.
"use strict";

// Announces a text to screen readers, without moving the focus.
const say = (text) => {
  const status = document.getElementById("said");
  if (status) status.textContent = text;
};

// Copy buttons are hidden until now: without a script they could do nothing.
const copy = async (button) => {
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.value ?? source.textContent);
  } catch {
    getSelection().selectAllChildren(source);
    say("Not copied. The text is selected: copy it with your keyboard.");
    return;
  }
  button.dataset.label ??= button.textContent;
  button.textContent = "Copied";
  say("Copied");
  clearTimeout(button.timer);
  button.timer = setTimeout(() => {
    button.textContent = button.dataset.label;
    say("");
  }, 2000);
};

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}

// A form is sent once, however often its button is pressed. It can be sent again after a while
// without an answer, or when the browser comes back to the page.
const sent = new Set();
const allow = () => {
  sent.clear();
  for (const button of document.querySelectorAll("button[aria-disabled]")) {
    button.removeAttribute("aria-disabled");
  }
};
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (sent.has(form)) {
    event.preventDefault();
    return;
  }
  sent.add(form);
  event.submitter?.setAttribute("aria-disabled", "true");
  setTimeout(allow, 15_000);
});
addEventListener("pageshow", allow);

// Rows without the typed text are hidden; Enter searches all of them.
const filter = (field) => {
  const rows = [...document.querySelectorAll(`#${field.dataset.filter} [data-row]`)];
  const none = document.getElementById(`${field.dataset.filter}-none`);
  const apply = () => {
    const text = field.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(text);
    const visible = rows.filter((row) => !row.hidden).length;
    if (none) none.hidden = visible > 0;
    say(text ? `${visible} of ${rows.length} shown` : "");
  };
  // The server also searches what a row does not show, so only typing hides rows.
  if (rows.length) field.addEventListener("input", apply);
};
document.querySelectorAll("[data-filter]").forEach(filter);

// A secret that is searched for stays in the browser: its beginning finds the key.
const secret = /((?:sk-optk|optk-svc)-[0-9A-Za-z]{4})[0-9A-Za-z]{16,}/;
for (const form of document.querySelectorAll("form[method=get]")) {
  form.addEventListener("submit", () => {
    for (const field of form.querySelectorAll("input")) {
      const match = secret.exec(field.value);
      if (match) field.value = match[1];
    }
  });
}

// Times in the zone of this browser, unless the person has chosen one.
const day = { day: "numeric", month: "short", year: "numeric" };
const minute = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZoneName: "short" };
const written = (time, kind) =>
  new Intl.DateTimeFormat("en-GB", kind === "day" ? day : { ...day, ...minute })
    .format(time)
    .replace("Sept", "Sep");

if (!document.documentElement.dataset.zone) {
  for (const element of document.querySelectorAll("time[data-moment]")) {
    const kind = element.dataset.moment;
    const text = written(new Date(element.dateTime), kind);
    if (kind === "title") element.title = text;
    else element.textContent = text;
  }
}

// A button shows a password while it is typed.
for (const field of document.querySelectorAll("[data-password]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button";
  const show = (visible) => {
    field.type = visible ? "text" : "password";
    button.textContent = visible ? "Hide" : "Show";
    button.setAttribute("aria-label", visible ? "Hide the password" : "Show the password");
  };
  show(false);
  button.addEventListener("click", () => show(field.type === "password"));
  field.form?.addEventListener("submit", () => show(false));
  field.after(button);
}

// Menus close by Escape and by a click beside them.
const menus = document.querySelectorAll("[data-menu]");
document.addEventListener("click", (event) => {
  for (const menu of menus) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of menus) {
    if (!menu.open) continue;
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
