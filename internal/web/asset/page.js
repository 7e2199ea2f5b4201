// Buttons that copy, download and print. Without JavaScript they are not shown, and
// what they are for stands on the page.
"use strict";

// textOf is what a person would type or keep: items of a list on lines of their own.
function textOf(element, compact) {
  const items = element.querySelectorAll("li");
  if (items.length > 0) {
    return Array.from(items, (item) => item.textContent.trim()).join("\n");
  }
  const text = element.textContent.trim();
  return compact ? text.replace(/\s+/g, "") : text;
}

function say(text) {
  const status = document.querySelector("[data-copied]");
  status.textContent = "";
  setTimeout(() => { status.textContent = text; }, 50); // so that the same text is read out again
}

async function copy(button) {
  const element = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(textOf(element, "compact" in button.dataset));
    say(button.dataset.done);
  } catch {
    getSelection().selectAllChildren(element); // no clipboard here: ready for Ctrl-C
  }
}

function download(button) {
  const element = document.getElementById(button.dataset.download);
  const text = element.dataset.title + "\n\n" + textOf(element) + "\n";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = button.dataset.file;
  link.click();
  URL.revokeObjectURL(link.href);
}

const actions = { "[data-copy]": copy, "[data-download]": download, "[data-print]": () => print() };
for (const [selector, action] of Object.entries(actions)) {
  for (const button of document.querySelectorAll(selector)) {
    button.hidden = false;
    button.addEventListener("click", () => action(button));
  }
}
