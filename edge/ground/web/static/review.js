// What people say of the cracks: read from the ground, written to it from the form of one crack.

import { ask, clock, element } from "./data.js";

const by = (id) => document.getElementById(id);
const NAMES = ["verdict", "grade", "remark", "by"];

export class Reviews {
  constructor(changed) {
    this.changed = changed;
    this.said = new Map();
    this.crack = null;
    by("review").addEventListener("submit", (event) => {
      event.preventDefault();
      this.keep().catch((error) => { by("review-told").textContent = `not kept: ${error.message}`; });
    });
  }

  async load() {
    const { reviews } = await ask("/live/reviews");
    this.said = new Map(reviews.map((one) => [one.crack_id, one]));
    this.changed();
  }

  of(id) {
    return this.said.get(id) || null;
  }

  // The form with what was said of this crack last.
  show(id, link) {
    const form = by("review"), said = this.of(id);
    this.crack = id;
    for (const name of NAMES) form.elements[name].value = (said && said[name]) || "";
    form.elements.verdict.value = said ? said.verdict : "unreviewed";
    form.elements.by.value = localStorage.getItem("reviewer") || (said && said.by) || "";
    by("review-told").textContent = said ? words(said) : "nobody has reviewed it";
    by("detail-links").append(" · ", element("a", "review.json of this flight", { href: link, download: "review.json" }));
  }

  async keep() {
    const form = by("review"), id = this.crack;
    const said = Object.fromEntries(NAMES.map((name) => [name, form.elements[name].value.trim() || null]));
    by("review-told").textContent = "…";
    const kept = await ask(`/reviews/${encodeURIComponent(id)}`, {
      method: "PUT", body: JSON.stringify(said), headers: { Accept: "application/json", "Content-Type": "application/json" },
    });
    localStorage.setItem("reviewer", said.by || "");
    this.said.set(id, kept);
    if (this.crack === id) by("review-told").textContent = `kept: ${words(kept)}`;
    this.changed();
  }
}

export function words(said) {
  const grade = said.grade ? `, grade ${said.grade}` : "";
  return `${said.verdict}${grade}${said.by ? `, by ${said.by}` : ""}, ${clock(said.at)}`;
}
