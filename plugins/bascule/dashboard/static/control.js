/* The control room's script: the theme of Airflow, fresh parts of the page, links to Airflow out of its frame. */
"use strict";

function theme() {
  let chosen = "";
  try { chosen = localStorage.getItem("theme") || ""; } catch { /* a browser that keeps nothing */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
}
theme();
addEventListener("storage", theme);

const EVERY = 5000;
let etag = null;

/* What a person has unfolded, typed or chosen stays as it is. */
const keeping = {
  ignoreActiveValue: true,
  callbacks: {
    beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS"),
  },
};

async function look() {
  if (document.hidden || !document.querySelector("[data-live]")) return;
  const offline = document.getElementById("offline");
  try {
    const headers = { "X-Bascule-Live": "1" };
    if (etag) headers["If-None-Match"] = etag;
    const page = location.pathname.endsWith(".csv") ? "problems" : location.href; // a table that was refused is shown there
    const answer = await fetch(page, { headers, cache: "no-store", redirect: "error" });
    if (offline) offline.hidden = answer.ok || answer.status === 304;
    if (!answer.ok) return;
    etag = answer.headers.get("ETag");
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const now = fresh.getElementById(part.id);
      if (now) Idiomorph.morph(part, now, keeping);
    }
  } catch {
    if (offline) offline.hidden = false;
  }
}

/* Airflow shows this page in a frame that may not lead its own window away: the link is followed from there. */
function leave(event) {
  const link = event.target.closest("a[data-airflow]");
  if (!link || window.parent === window) return;
  event.preventDefault();
  const outside = window.parent.document.createElement("a");
  outside.href = link.href;
  outside.target = link.target;
  window.parent.document.body.append(outside);
  outside.click();
  outside.remove();
}

/* "Select all" of a form, and how many are chosen. */
function choose(event) {
  const box = event.target;
  if (box.type !== "checkbox") return;
  const form = box.closest("form");
  if (!form) return;
  const boxes = [...form.querySelectorAll("input[name=about]")];
  if (box.dataset.all !== undefined) for (const each of boxes) each.checked = box.checked;
  else if (box.name === "about") {
    const all = form.querySelector("input[data-all]");
    if (all) all.checked = boxes.every((each) => each.checked);
  }
  const count = form.querySelector("[data-count]");
  if (count) count.textContent = boxes.filter((each) => each.checked).length;
}

/* Who edits a value means its problem. */
function edit(event) {
  const row = event.target.closest("[data-question]");
  if (!row || event.target.name === "about") return;
  const box = row.querySelector("input[name=about]");
  if (box && !box.checked) { box.checked = true; choose({ target: box }); }
}

addEventListener("DOMContentLoaded", () => {
  document.addEventListener("click", leave);
  document.addEventListener("change", choose);
  document.addEventListener("input", edit);
  setInterval(look, EVERY);
  document.addEventListener("visibilitychange", look);
});
