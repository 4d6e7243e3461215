"use strict";
// Filter, sort and review. Without this script the page shows everything, sorted by severity.
(function () {
  const root = document.documentElement;
  root.classList.add("works");
  const data = document.body.dataset;
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  const rows = all("#findings-table tbody tr");
  const cards = new Map(all(".finding").map((card) => [card.dataset.id, card]));
  const words = document.getElementById("find-words");
  const band = document.getElementById("find-band");
  const state = document.getElementById("find-state");
  const count = document.getElementById("find-count");

  function filter() {
    const asked = words.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const fits =
        (!asked || row.textContent.toLowerCase().includes(asked)) &&
        (!band.value || row.dataset.band === band.value) &&
        (!state.value || row.dataset.state === state.value);
      row.hidden = !fits;
      const card = cards.get(row.dataset.id);
      if (card) card.hidden = !fits;
      if (fits) shown += 1;
    }
    count.textContent = shown + " of " + rows.length + " findings";
  }
  for (const control of [words, band, state]) control.addEventListener("input", filter);
  filter();

  // Not <button>: a table head that holds one is not repeated on the next printed page.
  for (const button of all("#findings-table thead [role=button]")) {
    button.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      button.click();
    });
    button.addEventListener("click", () => {
      const head = button.closest("th");
      const up = head.getAttribute("aria-sort") === "descending";
      for (const other of all("#findings-table thead th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const at = head.cellIndex;
      const key = (row) => row.cells[at].dataset.sort;
      const order = (a, b) => {
        const x = key(a), y = key(b);
        if (x === "" || y === "") return (x === "") - (y === "");
        const numbers = !isNaN(x) && !isNaN(y);
        const found = numbers ? Number(x) - Number(y) : x.localeCompare(y);
        return up ? found : -found;
      };
      const body = rows.length ? rows[0].parentNode : null;
      for (const row of rows.slice().sort(order)) body.appendChild(row);
    });
  }

  const by = document.getElementById("review-by");
  const bar = document.getElementById("review-count");
  let saved = true;
  function changed(card) {
    card.dataset.at = new Date().toISOString();
    saved = false;
    tell();
  }
  function told(card) {
    return card.querySelector("[name=verdict]").value !== "unreviewed" ||
      card.querySelector("[name=grade]").value.trim() || card.querySelector("[name=remark]").value.trim();
  }
  function tell() {
    const done = Array.from(cards.values()).filter(told).length;
    bar.textContent = done + " of " + cards.size + " reviewed" + (saved ? "" : "; not downloaded yet");
  }
  for (const card of cards.values()) {
    for (const control of card.querySelectorAll("select, input, textarea")) {
      control.addEventListener("input", () => changed(card));
    }
  }
  document.getElementById("review-save").addEventListener("click", () => {
    const reviews = [];
    for (const [id, card] of cards) {
      if (!told(card)) continue;
      const text = (name) => card.querySelector("[name=" + name + "]").value.trim() || null;
      reviews.push({ crack_id: id, verdict: text("verdict"), grade: text("grade"), remark: text("remark"),
        by: card.dataset.at ? by.value.trim() || null : card.dataset.by || null,
        at: card.dataset.at || card.dataset.was || null });
    }
    const flight = data.known === "yes" ? data.flight : null;
    const text = JSON.stringify({ schema: data.schema, flight_id: flight, reviews: reviews }, null, 1) + "\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = "review.json";
    link.click();
    URL.revokeObjectURL(link.href);
    saved = true;
    tell();
  });
  window.addEventListener("beforeunload", (event) => { if (!saved) event.preventDefault(); });
  tell();
})();
