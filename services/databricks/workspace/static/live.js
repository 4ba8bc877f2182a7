// Keeps a page up to date while its run goes on: fetches it again and replaces only the parts that have changed, so
// that scrolling, selected text and frames stay as they are.
"use strict";

const PAUSE = 1500;

function replaceChanged(old, fresh) {
  const known = new Map([...old.children].filter((part) => part.id).map((part) => [part.id, part]));
  const parts = [...fresh.children].map((part) => {
    const before = known.get(part.id);
    return before && before.dataset.html === part.outerHTML ? before : remember(part);
  });
  if (parts.some((part, at) => part !== old.children[at]) || parts.length !== old.children.length) {
    parts.forEach((part, at) => {
      const there = old.children[at];
      if (there === part) return;
      if (there && there.id === part.id) there.replaceWith(part);
      else old.insertBefore(part, there || null);
    });
    while (old.children.length > parts.length) old.lastElementChild.remove();
  }
}

function remember(part) {
  const html = part.outerHTML;
  part.dataset.html = html;
  return part;
}

async function refresh(main) {
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.querySelector("main");
      document.title = page.title;
      replaceChanged(main, fresh);
      if (!("live" in fresh.dataset)) return;
    }
  } catch {
    // The workspace restarts: try again.
  }
  setTimeout(() => refresh(main), document.hidden ? PAUSE * 5 : PAUSE);
}

const main = document.querySelector("main");
[...main.children].forEach(remember);
if ("live" in main.dataset) setTimeout(() => refresh(main), PAUSE);

// A frame with HTML output cannot be measured from outside; it says its height itself.
addEventListener("message", (event) => {
  const frame = [...document.querySelectorAll("iframe")].find((each) => each.contentWindow === event.source);
  const height = Number(event.data && event.data.height);
  if (frame && height > 0) frame.style.height = `${Math.min(Math.max(height + 4, 40), 1200)}px`;
});
